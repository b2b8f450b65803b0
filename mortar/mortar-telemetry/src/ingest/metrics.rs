//! OTLP metrics, told as the series that a scrape would have given.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint, metric::Data,
    number_data_point,
};

use crate::record::{Family, MetricBatch, MetricKind, Resource, Sample};
use crate::store::Appended;

use super::{Sink, convert, naming};

/// Buckets of one histogram point; a point with more is refused.
const BUCKETS_MAX: usize = 256;

struct Builder {
    resource: Arc<Resource>,
    batch: MetricBatch,
    refused: Appended,
}

/// Takes one export.
pub fn ingest(request: ExportMetricsServiceRequest, sink: &Sink) -> Appended {
    let mut total = Appended::default();
    for group in request.resource_metrics {
        let mut builder = Builder {
            resource: convert::resource(group.resource),
            batch: MetricBatch::default(),
            refused: Appended::default(),
        };
        for metric in group.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            builder.metric(metric);
        }
        sink.refuse(builder.refused.refused);
        total = total.and(builder.refused).and(sink.metrics(&builder.batch));
    }
    total
}

impl Builder {
    fn metric(&mut self, metric: Metric) {
        let Some(data) = metric.data else { return };
        let kind = match &data {
            Data::Sum(sum) if sum.is_monotonic => MetricKind::Counter,
            Data::Sum(_) | Data::Gauge(_) => MetricKind::Gauge,
            Data::Histogram(_) => MetricKind::Histogram,
            Data::Summary(_) => MetricKind::Summary,
            Data::ExponentialHistogram(histogram) => {
                for _ in &histogram.data_points {
                    self.refused
                        .refuse("exponential histograms are not kept; send explicit buckets");
                }
                return;
            }
        };
        let name = naming::metric(&metric.name, &metric.unit, kind);
        self.batch.families.push(Family {
            name: name.clone(),
            kind,
            unit: naming::unit(&metric.unit).to_owned(),
            help: convert::name(metric.description),
        });
        let is_delta = |temporality: i32| temporality == AggregationTemporality::Delta as i32;
        match data {
            Data::Gauge(gauge) => gauge
                .data_points
                .into_iter()
                .for_each(|p| self.number(&name, p, false, false)),
            Data::Sum(sum) => {
                let delta = is_delta(sum.aggregation_temporality);
                sum.data_points
                    .into_iter()
                    .for_each(|p| self.number(&name, p, sum.is_monotonic, delta));
            }
            Data::Histogram(histogram) => {
                let delta = is_delta(histogram.aggregation_temporality);
                histogram
                    .data_points
                    .into_iter()
                    .for_each(|p| self.histogram(&name, p, delta));
            }
            Data::Summary(summary) => summary
                .data_points
                .into_iter()
                .for_each(|p| self.summary(&name, p)),
            Data::ExponentialHistogram(_) => {}
        }
    }

    fn number(&mut self, name: &str, point: NumberDataPoint, cumulative: bool, delta: bool) {
        let value = match point.value {
            Some(number_data_point::Value::AsDouble(value)) => value,
            #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
            Some(number_data_point::Value::AsInt(value)) => value as f64,
            None => return,
        };
        let labels = self.labels(point.attributes);
        self.push(
            name.to_owned(),
            labels,
            point.time_unix_nano,
            value,
            (cumulative, delta),
        );
    }

    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
    fn histogram(&mut self, name: &str, point: HistogramDataPoint, delta: bool) {
        if point.bucket_counts.len() > BUCKETS_MAX {
            self.refused.refuse("a histogram has more than 256 buckets");
            return;
        }
        let labels = self.labels(point.attributes);
        let mut below = 0_u64;
        for (at, count) in point.bucket_counts.iter().enumerate() {
            below = below.saturating_add(*count);
            let bound = point.explicit_bounds.get(at).copied().unwrap_or(f64::INFINITY);
            let mut labels = labels.clone();
            labels.push(("le".to_owned(), bound_text(bound)));
            self.push(
                format!("{name}_bucket"),
                labels,
                point.time_unix_nano,
                below as f64,
                (true, delta),
            );
        }
        if let Some(sum) = point.sum {
            self.push(
                format!("{name}_sum"),
                labels.clone(),
                point.time_unix_nano,
                sum,
                (true, delta),
            );
        }
        self.push(
            format!("{name}_count"),
            labels,
            point.time_unix_nano,
            point.count as f64,
            (true, delta),
        );
    }

    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
    fn summary(&mut self, name: &str, point: SummaryDataPoint) {
        let labels = self.labels(point.attributes);
        for quantile in point.quantile_values.iter().take(BUCKETS_MAX) {
            let mut labels = labels.clone();
            labels.push(("quantile".to_owned(), quantile.quantile.to_string()));
            self.push(
                name.to_owned(),
                labels,
                point.time_unix_nano,
                quantile.value,
                (false, false),
            );
        }
        self.push(
            format!("{name}_sum"),
            labels.clone(),
            point.time_unix_nano,
            point.sum,
            (true, false),
        );
        self.push(
            format!("{name}_count"),
            labels,
            point.time_unix_nano,
            point.count as f64,
            (true, false),
        );
    }

    fn labels(&self, attributes: Vec<KeyValue>) -> Vec<(String, String)> {
        let own = convert::attributes(attributes);
        let mut labels: Vec<_> = own
            .into_iter()
            .map(|(key, value)| (naming::label(&key), value.to_text().into_owned()))
            .collect();
        labels.extend(identity(&self.resource));
        labels
    }

    fn push(
        &mut self,
        name: String,
        labels: Vec<(String, String)>,
        time_ns: u64,
        value: f64,
        (cumulative, delta): (bool, bool),
    ) {
        if !value.is_nan() {
            self.batch.samples.push(Sample {
                name,
                labels,
                time_ms: time_ns / 1_000_000,
                value,
                cumulative,
                delta,
            });
        }
    }
}

/// The labels that say who measured.
pub(super) fn identity(resource: &Resource) -> impl Iterator<Item = (String, String)> {
    [
        ("service_name", &resource.service),
        ("instance", &resource.instance),
        ("version", &resource.version),
        ("zone", &resource.zone),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value.clone()))
}

fn bound_text(bound: f64) -> String {
    if bound.is_infinite() {
        "+Inf".to_owned()
    } else {
        bound.to_string()
    }
}
