//! The read model of the article: table `nodes`.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior, params};

use super::Database;
use super::failure::{Failure, Place};
use crate::repair::RepairPlan;
use crate::{NodeDocument, NodeDocumentId, Repair};

/// A row without its key, as text: what somebody wrote by hand need not be a document.
type Columns = [String; 5];

impl Database {
    /// Brings the table up to date with one commit.
    pub(super) fn write_nodes(&mut self, active: &[NodeDocument], removed: &[NodeDocumentId]) -> Result<(), Failure> {
        if active.is_empty() && removed.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for id in removed {
            delete(&transaction, &self.place, id.as_str())?;
        }
        for document in active {
            upsert(&transaction, &self.place, document)?;
        }
        transaction.commit()?;
        self.step("nodes:written");
        Ok(())
    }

    /// Makes the table exactly these documents; a table that is right is not written to.
    pub(super) fn repair_nodes(&mut self, active: &[NodeDocument]) -> Result<Vec<Repair>, Failure> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = read(&transaction, &self.place)?;
        let plan = RepairPlan::new(active, &found, columns, |[_, _, node, ..]| node.clone());
        for document in plan.missing.iter().chain(&plan.altered) {
            upsert(&transaction, &self.place, document)?;
        }
        for id in &plan.foreign {
            delete(&transaction, &self.place, id)?;
        }
        transaction.commit()?;
        if !plan.repairs.is_empty() {
            self.step("nodes:written");
        }
        Ok(plan.repairs)
    }
}

fn columns(document: &NodeDocument) -> Columns {
    let NodeDocument { id: _, ip, hostname, node, uid, since } = document;
    [ip.to_string(), hostname.clone(), node.to_string(), uid.to_string(), since.to_string()]
}

fn read(connection: &Connection, place: &Place) -> Result<BTreeMap<String, Columns>, rusqlite::Error> {
    let sql = "select _id, ip, hostname, node, uid, since from nodes where cluster = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map([place.cluster.as_str()], |row| {
        Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?]))
    })?;
    found.collect()
}

fn upsert(connection: &Connection, place: &Place, document: &NodeDocument) -> Result<(), rusqlite::Error> {
    let [ip, hostname, node, uid, since] = columns(document);
    let sql = "insert or replace into nodes (_id, ip, hostname, node, uid, since, cluster)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values = params![document.id.as_str(), ip, hostname, node, uid, since, place.cluster.as_str()];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

fn delete(connection: &Connection, place: &Place, id: &str) -> Result<(), rusqlite::Error> {
    let sql = "delete from nodes where cluster = ?1 and _id = ?2";
    connection.prepare_cached(sql)?.execute(params![place.cluster.as_str(), id]).map(drop)
}
