//! What a listener follows, as it is written.

use tidegate_core::selector::Selector;

use crate::config::kubernetes::ObjectName;
use crate::config::read::section;
use crate::config::text::Text;

section! {
    /// Where the ingress runs: by its pods (`selector`) or by the endpoints of its Service (`service`), one of the two. A pod
    /// that is about to end takes its node out of the listener before it stops. The controller may then list and watch pods or
    /// EndpointSlices in that namespace (deploy/rbac-follow.yaml).
    pub struct RawFollow;
    required {
        /// The namespace of the ingress.
        #[schemars(extend("examples" = ["ingress-nginx"]))]
        namespace: Text<ObjectName> = "namespace: ingress-nginx",
    }
    optional {
        /// Labels of its pods.
        #[schemars(extend("examples" = ["app.kubernetes.io/name=ingress-nginx"]))]
        selector: Text<Selector>,
        /// Name of its Service.
        #[schemars(extend("examples" = ["ingress-nginx-controller"]))]
        service: Text<ObjectName>,
    }
    later {}
}
