//! Waiting for what a brick needs, before its first start.

use super::{Next, Order, Supervisor};
use crate::api::InstanceState;

impl Supervisor {
    /// The first start waits until what the brick needs is ready, or has had its chance.
    pub(super) async fn wait_for_needs(&mut self) -> Result<(), Next> {
        if std::mem::replace(&mut self.waited, true) || self.spec.needs.is_empty() {
            return Ok(());
        }
        let (board, needs) = (self.context.board.clone(), self.spec.needs.clone());
        let met = board.wait(move |rows| {
            needs.iter().all(|need| {
                let mut of_need = rows.iter().filter(|(slot, _)| slot.brick == *need).peekable();
                let none = of_need.peek().is_none();
                none || of_need.any(|(_, row)| {
                    let passed = matches!(
                        row.state,
                        InstanceState::Ready
                            | InstanceState::Skipped
                            | InstanceState::Failed
                            | InstanceState::CrashLoop
                    );
                    passed || row.given_up
                })
            })
        });
        tokio::pin!(met);
        loop {
            tokio::select! {
                () = &mut met => return Ok(()),
                order = self.order() => {
                    let slot = self.spec.slot.clone();
                    match order {
                        Some(Order::Replace(spec, done)) => {
                            self.spec = spec;
                            let _ = done.send(());
                        }
                        Some(Order::Roll(spec, done)) => {
                            self.spec = spec;
                            let _ = done.send(Ok(()));
                        }
                        Some(Order::Signal(_, pid)) => { let _ = pid.send(None); }
                        Some(Order::Stop(done)) => {
                            self.context.board.update(&slot, |row| row.state = InstanceState::Stopped);
                            let _ = done.send(());
                            return Err(Next::End);
                        }
                        None => return Err(Next::End),
                    }
                }
            }
        }
    }
}
