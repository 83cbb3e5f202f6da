-- The tables of schema version 1, as they were released.
create table revisions (
    cluster    text    not null,
    revision   integer not null check (revision > 0),
    term       integer not null,
    holder     text    not null,
    at         text    not null,
    changes    text    not null,
    state_hash text    not null,
    primary key (cluster, revision)
) strict, without rowid;
-- Where the log of each cluster ends. Written with each entry, so that entries that are gone from its end are missed.
create table heads (
    cluster    text    not null primary key,
    revision   integer not null,
    term       integer not null,
    state_hash text    not null
) strict, without rowid;
create table snapshots (
    cluster    text    not null,
    revision   integer not null,
    term       integer not null,
    at         text    not null,
    membership text    not null,
    primary key (cluster, revision)
) strict, without rowid;
create table nodes (
    _id      text not null,
    ip       text not null,
    hostname text not null,
    node     text not null,
    uid      text not null,
    since    text not null,
    cluster  text not null,
    primary key (cluster, _id)
) strict, without rowid;
pragma application_id = 0x54696465;
pragma user_version = 1;
