//! A certificate authority for one cluster or one test, and what it signs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// The files of one client certificate.
#[derive(Debug)]
pub struct Credentials {
    pub user: String,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug)]
pub struct Pki {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Writes `ca.crt`, `server.{crt,key}` and `service-account.{key,pub}` into `folder`.
    pub fn create(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "tidegate-testbed");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        fs::write(folder.join("ca.crt"), params.self_signed(&key)?.pem())?;
        let pki = Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) };
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = CertificateParams::new(names)?;
        pki.sign("server", server, "kube-apiserver", ExtendedKeyUsagePurpose::ServerAuth)?;
        let tokens = KeyPair::generate()?;
        fs::write(folder.join("service-account.key"), tokens.serialize_pem())?;
        fs::write(folder.join("service-account.pub"), tokens.public_key_pem())?;
        Ok(pki)
    }

    /// The authority's own certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Certificate and key of the server, for 127.0.0.1 and localhost.
    pub fn server_files(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("server.crt"), self.folder.join("server.key"))
    }

    /// A client certificate: Kubernetes takes the user from CN and the group from O.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Credentials> {
        let mut params = CertificateParams::default();
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        let stem = format!("client-{user}");
        let (certificate, key) = self.sign(&stem, params, user, ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(Credentials { user: user.to_owned(), certificate, key })
    }

    fn sign(
        &self,
        stem: &str,
        mut params: CertificateParams,
        common_name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<(PathBuf, PathBuf)> {
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files = (self.folder.join(format!("{stem}.crt")), self.folder.join(format!("{stem}.key")));
        fs::write(&files.0, certificate.pem())?;
        fs::write(&files.1, key.serialize_pem())?;
        Ok(files)
    }
}
