//! Copies of requests for a version that is only looked at: nobody waits for them, and nothing is made of what they
//! answer. They pass none of the edge's limits and count for none, so that a bad version costs real requests nothing.

use std::sync::Arc;
use std::time::Instant;

use brick_discovery::{Lead, Shadow};
use brick_telemetry::context::SpanContext;
use bytes::Bytes;
use http::Request;
use http::request::Parts;

use crate::body::RequestBody;
use crate::call::Call;
use crate::caller;
use crate::forward::{self, Errand};
use crate::proxy::Local;
use crate::route::Target;

/// Sends a copy of a request that is led so, where the pool of its brick wants one.
pub(crate) fn send(local: &Arc<Local>, target: &Target, lead: &Lead, parts: &Parts, within: &SpanContext) {
    let Some(shadow) = target.shadow(&parts.method, &parts.headers, lead) else {
        return;
    };
    let (local, target) = (Arc::clone(local), target.clone());
    let mut request = Request::new(());
    request.method_mut().clone_from(&parts.method);
    request.uri_mut().clone_from(&parts.uri);
    let (mut copy, ()) = request.into_parts();
    let mut call = Call::begin(within);
    tokio::spawn(async move {
        // It counts as under way for as long as it is held.
        let Shadow {
            ref headers,
            ref lead,
            ..
        } = shadow;
        copy.headers.clone_from(headers);
        call.propagate(&mut copy.headers);
        let method = copy.method.clone();
        let errand = Errand {
            local: &local,
            link: None,
            target: &target,
            lead: lead.clone(),
            limit: Shadow::TIMEOUT,
            deadline: Instant::now() + Shadow::TIMEOUT,
            faults: None,
            body_bytes_max: 0,
            upgrade: false,
            aside: true,
        };
        let answered = async {
            let body = RequestBody::whole(Bytes::new());
            let reply = forward::send(&errand, &mut copy, body, &mut call).await?;
            caller::collect(reply, &target, Shadow::ANSWER_BYTES_MAX).await
        };
        let outcome = tokio::time::timeout(Shadow::TIMEOUT, answered).await;
        let outcome = outcome.unwrap_or_else(|_| Err(forward::timed_out(&errand)));
        if local.shared.trace {
            let error = outcome.as_ref().err().map(|answer| answer.code);
            let span = call.span(&method, target.name(), error, None);
            local.shared.spans.record(span);
        }
    });
}
