//! The zone `brick`: bricks by their names, instances by their own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::wire::{A, AAAA, ANY, Answer, Code, Data, Question, Record, SOA, SRV};
use crate::state::{Registered, State};

/// The domain of all names here.
const ZONE: &str = "brick";
/// How long an answer counts, in seconds: instances come and go.
const TTL_S: u32 = 5;
/// Records of an answer at most: those of the first by the turn.
const RECORDS_MAX: usize = 250;

/// Who is asked for.
enum Whom<'q> {
    /// The domain itself.
    Zone,
    /// A brick: any instance that takes requests.
    Brick(&'q str),
    /// One instance, also where it is in quarantine.
    Instance(&'q str, &'q str),
    /// Nobody that there is.
    Nobody,
    /// Somebody of another domain.
    Stranger,
}

/// What is known of a name; `turn` is who of several comes first.
pub(super) fn look_up(state: &State, question: &Question, turn: usize) -> Answer {
    let mut instances = match whom(&question.labels) {
        Whom::Stranger => return Answer::of(Code::Refused),
        Whom::Nobody => return nothing(Code::NoName),
        Whom::Zone => return of_zone(question),
        Whom::Brick(brick) if !is_known(state, brick) => return nothing(Code::NoName),
        Whom::Brick(brick) => of_brick(state, brick, |one| one.quarantined.is_none()),
        Whom::Instance(brick, own) => {
            let all = of_brick(state, brick, |one| own_label(one) == own);
            if all.is_empty() {
                return nothing(Code::NoName);
            }
            all
        }
    };
    if !instances.is_empty() {
        let first = turn % instances.len();
        instances.rotate_left(first);
    }
    let mut answer = Answer::of(Code::Fine);
    match question.kind {
        SRV => {
            answer.answers = instances
                .iter()
                .take(RECORDS_MAX)
                .map(|one| service(one))
                .collect();
            answer.further = instances.iter().take(RECORDS_MAX).map(|one| host(one)).collect();
        }
        A | AAAA | ANY => answer.answers = addresses(&instances, question.kind),
        _ => {}
    }
    if answer.answers.is_empty() {
        // The name is there, but has nothing of this kind.
        return nothing(Code::Fine);
    }
    answer
}

/// Whom a name means. Services are asked for as `_http._tcp.order.brick`, too (RFC 2782).
fn whom(labels: &[String]) -> Whom<'_> {
    let Some((ZONE, inner)) = labels.split_last().map(|(last, inner)| (last.as_str(), inner)) else {
        return Whom::Stranger;
    };
    let inner = match inner {
        [service, protocol, rest @ ..] if service.starts_with('_') && protocol == "_tcp" => rest,
        inner => inner,
    };
    match inner {
        [] => Whom::Zone,
        [brick] => Whom::Brick(brick),
        [own, brick] => Whom::Instance(brick, own),
        _ => Whom::Nobody,
    }
}

/// Instances of a brick that take requests.
fn of_brick<'s>(state: &'s State, brick: &str, also: impl Fn(&Registered) -> bool) -> Vec<&'s Registered> {
    let all = state.instances.values().map(|one| &**one);
    all.filter(|one| one.instance.brick.as_str() == brick && one.ready && also(one))
        .collect()
}

/// Whether the manifest or the registry has such a brick.
fn is_known(state: &State, brick: &str) -> bool {
    let told = state.manifest.iter().flat_map(|model| model.pooled());
    let mut told = told.map(|(name, _)| name.as_str());
    told.any(|name| name == brick)
        || state
            .instances
            .values()
            .any(|one| one.instance.brick.as_str() == brick)
}

/// `order-2` of `order-2.order.brick`: its own name, as a label that resolvers take.
fn own_label(one: &Registered) -> String {
    let own = one.instance.own_name().replace(['.', '_'], "-");
    own.to_ascii_lowercase()
}

fn own_name(one: &Registered) -> Vec<String> {
    vec![own_label(one), one.instance.brick.to_string(), ZONE.to_owned()]
}

fn service(one: &Registered) -> Record {
    let weight = one.details.weight.unwrap_or(100);
    let data = Data::Service {
        weight: u16::try_from(weight).unwrap_or(u16::MAX),
        port: one.instance.addr.port(),
        target: own_name(one),
    };
    Record {
        name: None,
        ttl: TTL_S,
        data,
    }
}

fn host(one: &Registered) -> Record {
    let data = Data::Address(one.instance.addr.ip());
    Record {
        name: Some(own_name(one)),
        ttl: TTL_S,
        data,
    }
}

/// Each address once, however many instances it has.
fn addresses(instances: &[&Registered], kind: u16) -> Vec<Record> {
    let mut seen = BTreeSet::new();
    let all = instances.iter().map(|one| one.instance.addr.ip());
    let wanted = all.filter(|ip| match ip {
        IpAddr::V4(_) => kind != AAAA,
        IpAddr::V6(_) => kind != A,
    });
    wanted
        .filter(|ip| seen.insert(*ip))
        .take(RECORDS_MAX)
        .map(|ip| Record {
            name: None,
            ttl: TTL_S,
            data: Data::Address(ip),
        })
        .collect()
}

fn of_zone(question: &Question) -> Answer {
    match question.kind {
        SOA | ANY => {
            let own = Record {
                name: None,
                ..authority()
            };
            Answer {
                answers: vec![own],
                ..Answer::of(Code::Fine)
            }
        }
        _ => nothing(Code::Fine),
    }
}

/// That there is nothing, with who says so (RFC 2308): it counts no longer than anything else here.
fn nothing(code: Code) -> Answer {
    Answer {
        authority: vec![authority()],
        ..Answer::of(code)
    }
}

fn authority() -> Record {
    let zone = vec![ZONE.to_owned()];
    let data = Data::Authority(zone.clone(), TTL_S);
    Record {
        name: Some(zone),
        ttl: TTL_S,
        data,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use brick_core::Incarnation;

    use super::*;
    use crate::state::tests::registered;

    type Edit = fn(&mut Registered);

    fn state(edits: &[(&str, u32, Edit)]) -> State {
        let mut state = State::default();
        for (brick, slot, edit) in edits {
            let mut one = registered(brick, *slot, Incarnation::new());
            edit(&mut one);
            state.instances.insert(one.instance.incarnation, Arc::new(one));
        }
        state
    }

    fn ask(state: &State, name: &str, kind: u16) -> Answer {
        let labels = name.split('.').map(str::to_owned).collect();
        look_up(state, &Question { labels, kind }, 0)
    }

    fn ports(answer: &Answer) -> Vec<u16> {
        let port = |record: &Record| match &record.data {
            Data::Service { port, .. } => Some(*port),
            _ => None,
        };
        answer.answers.iter().filter_map(port).collect()
    }

    #[test]
    fn a_brick_has_the_addresses_of_those_that_take_requests() {
        let state = state(&[
            ("order", 1, |_| {}),
            ("order", 2, |one| one.quarantined = Some("why".to_owned())),
            ("order", 3, |one| one.ready = false),
            ("order", 4, |one| {
                one.instance.addr = "[2001:db8::7]:80".parse().unwrap()
            }),
            ("payment", 1, |_| {}),
        ]);
        let one = ask(&state, "order.brick", A);
        let address = |text: &str| Data::Address(text.parse().unwrap());
        assert_eq!((one.code, one.answers.len()), (Code::Fine, 1));
        assert_eq!(one.answers[0].data, address("127.0.0.1"));
        assert_eq!(
            ask(&state, "order.brick", AAAA).answers[0].data,
            address("2001:db8::7")
        );
        let all = ask(&state, "order.brick", SRV);
        assert_eq!(ports(&all), [20_001, 80]);
        assert_eq!(ports(&ask(&state, "_http._tcp.order.brick", SRV)), [20_001, 80]);
        assert_eq!(
            all.further[0].name.as_ref().unwrap().join("."),
            "order-1.order.brick"
        );
        // One that is out of its pool is there by its own name, one that takes no requests is not.
        assert_eq!(ports(&ask(&state, "order-2.order.brick", SRV)), [20_002]);
        assert_eq!(ask(&state, "order-3.order.brick", A).code, Code::NoName);
    }

    #[test]
    fn what_is_not_there_and_what_is_not_ours_are_told_apart() {
        let state = state(&[("order", 1, |one| one.ready = false)]);
        let check = |name: &str, kind: u16, code: Code, authority: usize| {
            let answer = ask(&state, name, kind);
            assert_eq!((answer.code, answer.authority.len()), (code, authority), "{name}");
            assert!(answer.answers.is_empty());
        };
        check("order.brick", A, Code::Fine, 1);
        check("nobody.brick", A, Code::NoName, 1);
        check("a.b.order.brick", A, Code::NoName, 1);
        check("brick", A, Code::Fine, 1);
        check("brick.example.org", A, Code::Refused, 0);
        check("", A, Code::Refused, 0);
        assert_eq!(ask(&state, "brick", SOA).answers.len(), 1);
    }

    #[test]
    fn who_comes_first_takes_turns() {
        let state = state(&[("order", 1, |_| {}), ("order", 2, |_| {}), ("order", 3, |_| {})]);
        let labels = vec!["order".to_owned(), "brick".to_owned()];
        let first = |turn| {
            ports(&look_up(
                &state,
                &Question {
                    labels: labels.clone(),
                    kind: SRV,
                },
                turn,
            ))[0]
        };
        let all: BTreeSet<u16> = (0..3).map(first).collect();
        assert_eq!(all.len(), 3);
    }
}
