//! `up --watch` with real processes.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn changed_sources_are_built_and_rolled_and_a_failing_build_keeps_what_runs() {
    let system = System::new(
        "[brick.order]\nrun = \"sh app\"\ndir = \"order\"\n\
         build = \"sh -c 'if grep -q oops app; then echo no such name: oops; exit 1; fi'\"\n\
         [brick.cart]\nrun = \"sh app\"\ndir = \"cart\"\n",
    );
    let app = |brick: &str, text: &str| {
        let dir = system.dir.path().join(brick);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("app"), format!("{text}\nexec ../part\n")).unwrap();
    };
    app("order", "");
    app("cart", "");
    let mut options = system.options();
    options.watch = true;
    let (service, handle) = Service::open(options, system.model()).await.unwrap();
    let run = tokio::spawn(service.run(Drain::never()));
    ready(&handle).await;
    let past = |kind: EventKind, part: &str| {
        let told = handle.past_events().into_iter();
        told.filter(|event| event.kind == kind && event.msg.contains(part))
            .count()
    };
    until("the watch begins", async || {
        past(EventKind::Changed, "sources are watched") == 1
    })
    .await;
    let (order, cart) = (row(&handle, "order/1").pid, row(&handle, "cart/1").pid);

    app("order", "# oops");
    until("the build fails", async || {
        past(EventKind::Warning, "the old instances go on") == 1
    })
    .await;
    let failed = handle.past_events().into_iter();
    let failed: Vec<Event> = failed
        .filter(|event| event.kind == EventKind::BuildFailed)
        .collect();
    assert_eq!(failed[0].lines, ["no such name: oops"]);
    assert_eq!(row(&handle, "order/1").pid, order);

    app("order", "# mended");
    until("order is rolled", async || {
        past(EventKind::RollDone, "order") == 1
    })
    .await;
    assert_ne!(row(&handle, "order/1").pid, order);
    assert_eq!(row(&handle, "cart/1").pid, cart);

    app("cart", "echo broken; exit 9");
    until("the new cart fails", async || {
        past(EventKind::RollFailed, "exit code 9") == 1
    })
    .await;
    assert_eq!(row(&handle, "cart/1").pid, cart);
    assert!(handle.status().watch);
    handle.down();
    run.await.unwrap().unwrap();
    assert_eq!(system.processes(), 0);
}
