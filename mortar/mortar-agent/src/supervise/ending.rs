//! How a process ends: by itself, or because it is asked to; and what is done so that nothing of it stays.

use std::collections::HashSet;

use brick_core::env;
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::Instant;

use super::{LET_GO, Next, Running, Supervisor, TAIL_LINES};
use crate::api::InstanceState;
use crate::board::Role;
use crate::events::{Event, EventKind};
use crate::linux::process::Exit;
use crate::linux::session::{Mark, sweep};
use crate::logs;

impl Supervisor {
    /// After a death: nothing of it stays, and it is said when it starts again.
    pub(super) async fn bury(&mut self, running: Running, started: Instant, ready_for: Duration) -> Next {
        let exit = self.clear(&running).await;
        let slot = self.spec.slot.clone();
        let now = Instant::now();
        let pause = self.backoff.died(now, ready_for, rand::random());
        let looping = self.backoff.is_loop(now);
        let state = if looping {
            InstanceState::CrashLoop
        } else {
            InstanceState::Backoff
        };
        let what = format!(
            "{slot} ended with {exit} after {:.1} s; it starts again in {} ms",
            started.elapsed().as_secs_f64(),
            pause.as_millis()
        );
        let told = self.context.board.update(&slot, |row| {
            row.restarts += 1;
            row.problem = Some(what.clone());
            std::mem::replace(&mut row.state, state)
        });
        if looping && told != Some(InstanceState::CrashLoop) {
            let msg = format!(
                "{slot} is in a crash loop: 5 deaths within 30 s, the last with {exit}; its last lines say why. It is started again, ever more slowly"
            );
            let event = Event::new(EventKind::CrashLoop, msg).brick(&slot.brick);
            let lines = logs::last_written(&self.spec.log, 0, TAIL_LINES);
            self.context
                .events
                .send(event.instance(slot.to_string()).lines(lines));
        } else {
            self.tell(EventKind::Exited, what);
        }
        Next::Pause(pause)
    }

    /// Stops in order: out of the pools, asked to end, killed after its grace.
    pub(super) async fn stop(&self, running: Running) {
        let slot = &self.spec.slot;
        let registered = self.context.board.update(slot, |row| {
            row.state = InstanceState::Stopping;
            row.healthy = false;
            row.registered
        });
        let hurry = &self.context.hurry;
        self.tell(EventKind::Stopping, format!("{slot} stops"));
        if slot.role == Role::Brick && registered == Some(true) && !hurry.is_requested() {
            let gone = self.context.control.deregister(running.incarnation, LET_GO);
            tokio::select! {
                _ = tokio::time::timeout(LET_GO * 3 / 2, gone) => {}
                () = hurry.requested() => {}
                () = running.process.ended() => {}
            }
        }
        self.terminate(&running).await;
        let exit = self.clear(&running).await;
        self.set(InstanceState::Stopped, None);
        self.tell(EventKind::Stopped, format!("{slot} stopped with {exit}"));
    }

    /// Asks the process to end, and kills it after its grace.
    async fn terminate(&self, running: &Running) {
        running.process.terminate();
        tokio::select! {
            () = running.process.ended() => {}
            () = tokio::time::sleep(self.spec.stop_grace) => {}
            () = self.context.hurry.requested() => {}
        }
        // It may have ended already.
        let _ = running.process.signal(Signal::KILL);
        running.process.ended().await;
    }

    /// Ends a process that another one took over from; it serves what it has begun.
    pub(super) async fn finish(&self, old: &Running) {
        self.terminate(old).await;
        let exit = self.sweep(old).await;
        let (slot, pid) = (&self.spec.slot, old.process.id().pid);
        self.tell(
            EventKind::Stopped,
            format!("{slot}: the old process (pid {pid}) stopped with {exit}"),
        );
    }

    /// Ends what the process left behind and forgets it.
    async fn clear(&self, running: &Running) -> Exit {
        let slot = &self.spec.slot;
        self.context.board.update(slot, |row| {
            (row.pid, row.incarnation, row.adopted) = (None, None, false);
            if row.state == InstanceState::Ready {
                // What is dead is not ready, not for the moment either until it is said when it starts again.
                row.state = InstanceState::Unready;
            }
            (row.healthy, row.answered, row.registered) = (false, false, false);
        });
        let exit = self.sweep(running).await;
        self.context
            .store
            .update(|state| state.processes.remove(&slot.to_string()));
        let store = self.context.store.clone();
        tokio::spawn(async move { store.save().await });
        exit
    }

    /// Ends what a process that has ended left behind; how it ended.
    pub(super) async fn sweep(&self, running: &Running) -> Exit {
        let mark = Mark {
            leader: Some(running.process.id()),
            environment: format!("{}={}", env::BRICK_INCARNATION, running.incarnation),
        };
        let left = sweep(mark, HashSet::new()).await;
        if left > 0 {
            tracing::debug!(slot = %self.spec.slot, left, "ended what the process left behind");
        }
        let exit = running.process.reap();
        self.context.tracked.lock().remove(&running.process.id().pid);
        exit
    }
}
