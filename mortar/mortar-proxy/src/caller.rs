//! Calls that a gate makes itself: the parts of a view, a revalidation, a mirror.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brick_telemetry::context::SpanContext;
use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};

use crate::answer::Answer;
use crate::body::RequestBody;
use crate::call::Call;
use crate::forward::{self, Errand};
use crate::gate::{Client, Synthetic};
use crate::headers;
use crate::proxy::Local;
use crate::remote;
use crate::route::Target;

/// Makes calls in the trace of one request, with the gateway's identity. Cloneable; belongs to its worker, whose
/// connections it uses.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) local: Arc<Local>,
    pub(crate) client: Client,
    pub(crate) within: SpanContext,
    pub(crate) synthetic: Option<Synthetic>,
}

impl Caller {
    /// Sends the request to an instance of the target and takes the whole answer, within `limit` and up to
    /// `bytes_max`. Its fields go on as those of a client's request do; its target is a path.
    ///
    /// # Errors
    /// What a client would have been told: no instance, no answer in time, an answer that is too large.
    pub async fn call(
        &self,
        target: &Target,
        request: Request<Bytes>,
        limit: Duration,
        bytes_max: usize,
    ) -> Result<Response<Bytes>, Answer> {
        let (mut parts, body) = request.into_parts();
        let mut call = Call::begin(&self.within);
        headers::remove_hop(&mut parts.headers);
        let identity = self.local.shared.identity();
        headers::forward(&mut parts.headers, &parts.uri, &self.client, identity);
        if target.remote().is_some() {
            remote::forget_credentials(&mut parts.headers);
        }
        headers::baggage(&mut parts.headers, self.synthetic.as_ref());
        let lead = target.lead(&mut parts.headers, false);
        call.propagate(&mut parts.headers);
        let method = parts.method.clone();
        let errand = Errand {
            local: &self.local,
            link: None,
            target,
            lead,
            limit,
            deadline: Instant::now() + limit,
            faults: None,
            body_bytes_max: body.len() as u64,
            upgrade: false,
            aside: false,
        };
        let answered = async {
            let body = RequestBody::whole(body);
            let reply = forward::send(&errand, &mut parts, body, &mut call).await?;
            collect(reply, target, bytes_max).await
        };
        let outcome = tokio::time::timeout(limit, answered).await;
        let outcome = outcome.unwrap_or_else(|_| Err(forward::timed_out(&errand)));
        let error = outcome.as_ref().err().map(|answer| answer.code);
        self.record(&call, &method, target, error);
        outcome
    }

    fn record(&self, call: &Call, method: &http::Method, target: &Target, error: Option<&'static str>) {
        let name: Arc<str> = target.name().into();
        let synthetic = self.synthetic.as_ref();
        let stats = &self.local.stats;
        stats
            .client
            .add(method, call.status(), &name, synthetic.is_some(), call.took());
        if self.local.shared.trace {
            let span = call.span(method, &name, error, synthetic);
            self.local.shared.spans.record(span);
        }
    }
}

pub(crate) async fn collect(
    reply: forward::Reply,
    target: &Target,
    bytes_max: usize,
) -> Result<Response<Bytes>, Answer> {
    let mut lease = reply.lease;
    let (mut head, ()) = reply.response.into_parts();
    headers::remove_hop(&mut head.headers);
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| lease.poll_frame(cx)).await {
        let frame = frame.map_err(|_| forward::reset(target))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(Answer::new(
                StatusCode::BAD_GATEWAY,
                "upstream_too_large",
                format!("{} answered with more than {bytes_max} bytes", target.name()),
            ));
        }
        whole.extend_from_slice(&data);
    }
    lease.give_back();
    if let Some(rate) = reply.pace {
        tokio::time::sleep(Duration::from_secs_f64(whole.len() as f64 / rate.max(1) as f64)).await;
    }
    Ok(Response::from_parts(head, whole.freeze()))
}
