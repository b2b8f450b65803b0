//! The tracing layer: spans become [`SpanRecord`]s, events become log lines and, at WARN and above, span events.

use std::borrow::Cow;
use std::time::Instant;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::context::{self, SpanContext};
use crate::log::{Line, Logger};
use crate::span::{EVENTS_MAX, SpanEvent, SpanRecord, SpanSink, unix_ns_now};

mod fields;

use fields::{EventFields, SpanFields};

/// Spans of INFO and above always count, whatever the filter says: it is about log lines alone.
#[derive(Debug)]
pub(crate) struct TelemetryLayer {
    pub(crate) sink: SpanSink,
    pub(crate) logger: Logger,
    pub(crate) filter: Targets,
}

/// What a span keeps while it is open.
struct Open {
    record: SpanRecord,
    started: Instant,
}

impl TelemetryLayer {
    fn is_logged(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.would_enable(metadata.target(), metadata.level())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TelemetryLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        let counts = if metadata.is_span() {
            *metadata.level() <= Level::INFO
        } else {
            *metadata.level() <= Level::WARN || self.is_logged(metadata)
        };
        if counts {
            tracing::subscriber::Interest::always()
        } else {
            tracing::subscriber::Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        if metadata.is_span() {
            *metadata.level() <= Level::INFO
        } else {
            *metadata.level() <= Level::WARN || self.is_logged(metadata)
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let logged = self.filter.iter().map(|(_, level)| level).max();
        logged
            .max(self.filter.default_level())
            .max(Some(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let within = span
            .parent()
            .and_then(|parent| parent.extensions().get::<Open>().map(|open| open.record.context));
        let parent = within.or_else(context::remote_parent);
        let own = parent.map_or_else(SpanContext::root, |parent| parent.child());
        let mut record = SpanRecord::start(own, parent.map(|p| p.span_id), attributes.metadata().name());
        attributes.record(&mut SpanFields(&mut record));
        span.extensions_mut().insert(Open {
            record,
            started: Instant::now(),
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut SpanFields(&mut open.record));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let metadata = event.metadata();
        let span = ctx.event_span(event);
        let mut found = None;
        if let Some(span) = &span {
            // Read before the span is locked: a field's `Debug` may itself tell something.
            let noted = (*metadata.level() <= Level::WARN).then(|| span_event(event));
            if let Some(open) = span.extensions_mut().get_mut::<Open>() {
                found = Some(open.record.context);
                if let Some(noted) = noted {
                    open.note(noted);
                }
            }
        }
        if self.is_logged(metadata) {
            let mut line = Line::new(metadata.level(), metadata.target());
            event.record(&mut line);
            self.logger.write(line, found);
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(open) = span.extensions().get::<Open>()
        {
            context::enter(id.into_u64(), open.record.context);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        context::exit(id.into_u64());
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else {
            return;
        };
        let Open { mut record, started } = open;
        let lasted = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        record.end_unix_ns = record.start_unix_ns.saturating_add(lasted);
        self.sink.record(record);
    }
}

impl Open {
    fn note(&mut self, event: SpanEvent) {
        if self.record.events.len() < EVENTS_MAX {
            self.record.events.push(event);
        } else {
            self.record.cut_events = self.record.cut_events.saturating_add(1);
        }
    }
}

fn span_event(event: &Event<'_>) -> SpanEvent {
    let mut fields = EventFields::default();
    event.record(&mut fields);
    let level = match *event.metadata().level() {
        Level::ERROR => "error",
        _ => "warn",
    };
    fields.attributes.push((Cow::Borrowed("level"), level.into()));
    SpanEvent {
        time_unix_ns: unix_ns_now(),
        name: fields.message.into(),
        attributes: fields.attributes,
    }
}

#[cfg(test)]
mod tests;
