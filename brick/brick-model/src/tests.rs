//! What the manifest's errors say, as tables; and what always holds of parsing.

use proptest::prelude::*;

use crate::{Auth, Model, parse, parse_with_warnings, schema};

const SHOP: &str = include_str!("../../../systems/shop/brick.toml");
const REFERENCE: &str = include_str!("../../../docs/reference/manifest.md");

/// The lines before the ones under test: a valid manifest of two bricks, nine lines long.
const HEAD: &str = r#"brickwork = 1
[system]
name = "shop"
[brick.order]
run = "order"
needs = ["product"]
[brick.product]
run = "product"

"#;

/// Expectation: line and column in the text (after [`HEAD`] counted from 10), part of the message, part of the hint.
type Expected<'t> = (usize, usize, &'t str, &'t str);

fn check_whole(text: &str, expect: &[Expected<'_>]) {
    let invalid = parse(text, "brick.toml").expect_err(text);
    let found: Vec<String> = invalid
        .errors()
        .iter()
        .map(|e| {
            format!(
                "{}:{} {} ({})",
                e.line,
                e.column,
                e.message,
                e.hint.as_deref().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(found.len(), expect.len(), "{text}\n{found:#?}");
    for (error, (line, column, message, hint)) in invalid.errors().iter().zip(expect) {
        assert_eq!((error.line, error.column), (*line, *column), "{text}\n{found:#?}");
        assert!(error.message.contains(message), "{message:?} in {found:#?}");
        assert!(
            error.hint.as_deref().unwrap_or("").contains(hint),
            "{hint:?} in {found:#?}"
        );
    }
    let picture = invalid.render(false);
    assert!(picture.contains("brick.toml:"), "{picture}");
}

/// Checks lines that follow a valid head.
fn check(lines: &str, line: usize, column: usize, message: &str, hint: &str) {
    check_whole(&format!("{HEAD}{lines}"), &[(line, column, message, hint)]);
}

#[test]
fn misspelt_keys_name_the_nearest() {
    check(
        "[brick.a]\nrun = 'a'\nreplcas = 2",
        12,
        1,
        "unknown key \"replcas\" in [brick.a]",
        "did you mean \"replicas\"?",
    );
    check(
        "[brick.a]\nrun = 'a'\ncolour = 2",
        12,
        1,
        "unknown key \"colour\"",
        "known keys: run, build",
    );
    check(
        "[edge]\nlissen = '127.0.0.1:1'",
        11,
        1,
        "unknown key \"lissen\" in [edge]",
        "\"listen\"",
    );
    check(
        "[routes.a]\nmatch = '/'\nto = 'order'",
        10,
        2,
        "unknown key \"routes\" in the manifest",
        "\"route\"",
    );
    check(
        "[mortar]\nidentity = { tokenttl = '1m' }",
        11,
        14,
        "unknown key \"tokenttl\" in [mortar.identity]",
        "\"token_ttl\"",
    );
    check(
        "[brick.a]\nrun = 'a'\nhealth = { pth = '/' }",
        12,
        12,
        "unknown key \"pth\"",
        "\"path\"",
    );
    check(
        "[load.a]\nsteps = [{ get = '/', expct = 200 }]",
        11,
        23,
        "unknown key \"expct\"",
        "\"expect\"",
    );
    check(
        "[limits.default]\ntimout = '1s'\ntimeout = '1s'",
        11,
        1,
        "unknown key \"timout\"",
        "\"timeout\"",
    );
}

#[test]
fn misspelt_names_name_the_nearest() {
    check(
        "[brick.a]\nrun = 'a'\nneeds = ['order', 'prodct']",
        12,
        19,
        "there is no brick \"prodct\"",
        "did you mean \"product\"?",
    );
    check(
        "[route.a]\nmatch = '/a'\nto = 'ordr'",
        12,
        6,
        "route.a.to: there is no brick \"ordr\"",
        "\"order\"",
    );
    check(
        "[config.ordr]\na = 1",
        10,
        9,
        "there is no brick \"ordr\"",
        "\"order\"",
    );
    check(
        "[flag.a]\ndefault = true\nbricks = ['oder']",
        12,
        11,
        "flag.a.bricks: there is no brick \"oder\"",
        "\"order\"",
    );
    check(
        "[brick.a]\nrun = 'a'\nscopes = ['identity:isue']",
        12,
        11,
        "there is no scope \"identity:isue\"",
        "\"identity:issue\"",
    );
    check(
        "[limits.'order -> prodct']\ntimeout = '1s'",
        10,
        9,
        "there is no brick \"prodct\"",
        "\"product\"",
    );
    check(
        "[limits.'egde -> product']\ntimeout = '1s'",
        10,
        9,
        "there is no caller \"egde\"",
        "\"edge\"",
    );
    check(
        "[brick.a]\nrun = '{targt}/a'",
        11,
        7,
        "unknown placeholder {targt}",
        "\"{target}\"",
    );
}

#[test]
fn values_say_what_was_expected_and_found() {
    check(
        "[brick.a]\nrun = 5",
        11,
        7,
        "brick.a.run: expected a string, found the integer 5",
        "",
    );
    check(
        "[brick.a]\nrun = ''",
        11,
        7,
        "the command is empty",
        "quotes closed",
    );
    check(
        "[brick.a]\nrun = \"a 'b\"",
        11,
        7,
        "the quote ' is never closed",
        "quotes closed",
    );
    check("[brick.a]\nrun = 'a | b'", 11, 7, "'|' needs a shell", "sh -c");
    check(
        "[brick.a]\nrun = 'a'\nreplicas = 0",
        12,
        12,
        "expected an integer from 1 to 100, found 0",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nreplicas = '2'",
        12,
        12,
        "expected an integer from 1 to 100, or a table of min, max and target_rps, found the string \"2\"",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nreplicas = { min = 2, max = 4 }",
        12,
        12,
        "missing key \"target_rps\" in [brick.a.replicas]",
        "requests a second that one instance is to have",
    );
    check(
        "[brick.a]\nrun = 'a'\nreplicas = { min = 2, max = 1, target_rps = 50 }",
        12,
        29,
        "expected at least min, which is 2, found 1",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nstop_grace = '5x'",
        12,
        14,
        "expected a duration such as \"250ms\"",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nstop_grace = '1h'",
        12,
        14,
        "expected 0s to 10m, found 1h",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\noptional = 'yes'",
        12,
        12,
        "expected true or false, found the string \"yes\"",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nzones = ['A']",
        12,
        10,
        "lower-case letters",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nzones = []",
        12,
        9,
        "expected at least one zone",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\ndir = '/srv'",
        12,
        7,
        "expected a folder relative to brick.toml",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nhealth = { path = 'health' }",
        12,
        19,
        "expected a path such as",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nversion = 'v 1'",
        12,
        11,
        "expected 1 to 32 letters",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nenv = { 'A-B' = '1' }",
        12,
        9,
        "letters, digits and underscores",
        "",
    );
    check(
        "[brick.a]\nexternal = 'ftp://x'",
        11,
        12,
        "expected a base URL",
        "",
    );
    check(
        "[edge]\nlisten = '127.0.0.1:70000'",
        11,
        10,
        "expected an address and a port",
        "",
    );
    check(
        "[edge]\nauth = 'jtw'",
        11,
        8,
        "expected \"jwt\", \"public\" or \"api-key\", found \"jtw\"",
        "",
    );
    check(
        "[mortar]\ntelemetry = { bytes_max = '48MB' }",
        11,
        27,
        "expected a size such as \"64KiB\"",
        "",
    );
    check(
        "[mortar]\ncontrol = { replicas = 2 }",
        11,
        24,
        "several processes need a store that they share",
        "",
    );
    check(
        "[mortar]\ncontrol = { store = 'postgres://me:pw@db/shop', replicas = 2 }",
        11,
        21,
        "a password does not stand in the manifest",
        "",
    );
    check(
        "[mortar]\ncontrol = { store = 'mysql://me@db/shop' }",
        11,
        21,
        "expected postgres://USER@HOST:PORT/DATABASE",
        "",
    );
    check(
        "[route.a]\nto = 'order'\nmatch = '/a/*'",
        12,
        9,
        "a star may stand only as the last segment",
        "/a/**",
    );
    check(
        "[route.a]\nto = 'order'\nmatch = 'a'",
        12,
        9,
        "starts with \"/\"",
        "",
    );
    check(
        "[route.a]\nto = 'order'\nmatch = '/a'\nbody_max = '2GiB'",
        13,
        12,
        "expected 0B to 1GiB, found 2GiB",
        "",
    );
    check(
        "[limits.'order product']\ntimeout = '1s'",
        10,
        9,
        "expected `default` or a link",
        "",
    );
    check(
        "[load.a]\nsteps = []",
        11,
        9,
        "expected 1 to 100 steps, found 0",
        "",
    );
    check(
        "[load.a]\nsteps = [{ get = '/', post = '/' }]",
        11,
        10,
        "exactly one of get, post, put and delete, found 2",
        "",
    );
    check(
        "[load.a]\nsteps = [{ get = '/', save = { a = 'id' } }]",
        11,
        36,
        "expected a path into JSON",
        "",
    );
    check("[config.order]\na = inf", 11, 5, "expected a finite number", "");
}

#[test]
fn suites_and_environments_say_what_was_expected_and_found() {
    check("[test.a]", 10, 1, "missing key \"steps\" in [test.a]", "or run");
    check(
        "[test.a]\nrun = 'x'\nsteps = [{ get = '/' }]",
        11,
        1,
        "either steps or a command",
        "two suites",
    );
    check(
        "[test.a]\nsteps = [{ get = '/', expect = { json = { status = 1 } } }]",
        11,
        43,
        "expected a path into JSON",
        "",
    );
    check(
        "[test.a]\nsteps = [{ get = '/', expect = { code = 1 } }]",
        11,
        34,
        "unknown key \"code\"",
        "known keys",
    );
    check(
        "[test.a]\nsteps = [{ get = '/', expect = { json = { '$.a' = '{b}' } } }]",
        11,
        51,
        "no step before this one saves {b}",
        "",
    );
    check(
        "[test.a]\nbrick = 'ordr'\nrun = 'x'",
        11,
        9,
        "no brick \"ordr\"",
        "\"order\"",
    );
    check(
        "[test.order]\nrun = 'x'",
        10,
        7,
        "a brick of the same name",
        "rename",
    );
    check("[test.'a b']\nrun = 'x'", 10, 7, "as name of a suite", "");
    check(
        "[env.local]\nedge = 'http://a'",
        10,
        6,
        "is the running system",
        "",
    );
    check("[env.a]", 10, 1, "missing key \"edge\"", "https://");
    check("[env.a]\nedge = 'a.example'", 11, 8, "expected a base URL", "");
    check(
        "[brick.a]\nrun = 'a'\nopenapi = '/a'",
        12,
        11,
        "relative to brick.toml",
        "",
    );
}

/// Routes and views: each line in the place of a whole route or view, with what is told of it.
#[test]
fn functions_of_routes_and_parts_of_views_say_what_is_wrong() {
    let route = |line: &str, message: &str| {
        let lines = format!("[route.a]\nmatch = '/a'\nto = 'order'\nauth = 'public'\n{line}");
        let invalid = parse(&format!("{HEAD}{lines}"), "x").expect_err(line);
        let found: Vec<&str> = invalid.errors().iter().map(|e| e.message.as_str()).collect();
        assert!(
            found.len() == 1 && found[0].contains(message),
            "{line}: {found:?}"
        );
        assert_eq!(invalid.errors()[0].line, 14, "{line}: {found:?}");
    };
    route("host = 'shop.test:80'", "expected a host without a port");
    route("methods = ['get']", "expected a method such as \"GET\"");
    route("headers = { 'a b' = '1' }", "is no name of a field");
    route("rewrite = { prefix = '/a/' }", "without a slash at its end");
    route(
        "rewrite = { prefix = '/a', path = '/b' }",
        "expected either prefix",
    );
    route("cors = { origins = ['shop.test'] }", "expected an origin such as");
    route(
        "cors = { origins = ['*'], credentials = true }",
        "every page of the web",
    );
    route("rate = { per_second = 0 }", "expected a number from 0.001");
    route(
        "rate = { per_second = 1, by = 'me' }",
        "expected \"client\", \"route\" or \"token\"",
    );
    route("cache = { default_ttl = '2d' }", "expected 0s to 1d");
    route("mirror = { to = 'order@v9' }", "\"order\" has no version \"v9\"");
    route(
        "mirror = { to = 'order', share = 2 }",
        "expected a number from 0 to 1",
    );
    route("weights = { v1 = 0 }", "a weight above 0");
    route("weights = { v9 = 1 }", "\"order\" has no version \"v9\"");
    route("scopes = ['x']", "asks for no token");
    route("audience = 'x'", "asks for no token");
    let view = |line: &str, message: &str| {
        let lines = format!("[edge.bff.m]\nauth = 'public'\n[edge.bff.m.view.v]\n{line}");
        let invalid = parse(&format!("{HEAD}{lines}"), "x").expect_err(line);
        let found: Vec<&str> = invalid.errors().iter().map(|e| e.message.as_str()).collect();
        assert!(
            found.len() == 1 && found[0].contains(message),
            "{line}: {found:?}"
        );
    };
    let part =
        |rest: &str| format!("get = '/v/{{id}}'\npart.p = {{ from = 'order', get = '/o/{{id}}' {rest} }}");
    view("get = '/v'", "missing key \"part\"");
    view(
        "get = '/v/a{id}'\npart.p = { from = 'order', get = '/o' }",
        "each parameter a segment",
    );
    view(
        "get = '/v/{'\npart.p = { from = 'order', get = '/o' }",
        "each parameter a segment",
    );
    view(
        "get = '/v'\npart.p = { from = 'order', get = '/{x}' }",
        "no parameter {x}",
    );
    view(
        "get = '/v'\npart.p = { from = 'order', get = '/{subject}' }",
        "no parameter {subject}",
    );
    view(
        "get = '/v'\npart.p = { from = 'oder', get = '/' }",
        "no brick \"oder\"",
    );
    view(&part(", fields = { a = 'b' }"), "expected a path into JSON");
    view(&part(", limit = 3"), "there is a limit only to a list");
    view(&part(", timeout = '2s'"), "the whole view has 1000 ms");
    view(
        &format!("{}\nsay = {{ text = 'a {{b}}', otherwise = '' }}", part("")),
        "there is no word {b}",
    );
}

#[test]
fn what_values_mean_together_is_checked() {
    check(
        "[brick.a]\nrun = 'a'\nneeds = ['a']",
        12,
        10,
        "\"a\" needs itself",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nneeds = ['order', 'order']",
        12,
        19,
        "\"order\" stands there twice",
        "",
    );
    check(
        "[brick.gateway]\nrun = 'a'",
        10,
        8,
        "the name \"gateway\" belongs to the platform",
        "",
    );
    check("[brick.Order]\nrun = 'a'", 10, 8, "lower-case letters", "");
    check(
        "[brick.a]\nneeds = []",
        10,
        1,
        "missing key \"run\" in [brick.a]",
        "external",
    );
    check(
        "[brick.a]\nrun = 'a'\nexternal = 'https://a'",
        11,
        1,
        "an external brick has no run",
        "keep either",
    );
    check(
        "[brick.a]\nrun = 'a'\nstate = 'x'\n[brick.b]\nrun = 'b'\nstate = 'x'",
        15,
        9,
        "\"x\" belongs to \"a\" already",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nstate = 'control'",
        12,
        9,
        "belongs to the platform",
        "",
    );
    check(
        "[brick.my-a]\nrun = 'a'\nstate = 'postgres://u:secret@h/x'",
        12,
        9,
        "a password does not stand in the manifest: set MY_A_STATE_PASSWORD, or MY_A_STATE_PASSWORD_FILE",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nstate = 'postgres://u@h/x?schema=a'\n[brick.b]\nrun = 'b'\nstate = 'postgres://u@h/x?schema=a'",
        15,
        9,
        "belongs to \"a\" already",
        "",
    );
    check(
        "[brick.database]\nrun = 'a'\n[brick.a]\nrun = 'a'\nneeds = ['database']",
        14,
        10,
        "DATABASE_URL",
        "",
    );
    check(
        "[brick.x]\nexternal = 'http://x'\n[brick.x.tls]\nca = 'ca.pem'",
        12,
        10,
        "TLS is for external services whose address is https://",
        "leave tls out",
    );
    check(
        "[brick.x]\nexternal = 'https://x'\ntls = { cert = 'a.pem' }",
        12,
        7,
        "missing key \"key\"",
        "the private key of cert",
    );
    check(
        "[brick.x]\nexternal = 'https://x'\nprotocol = 'h2c'",
        12,
        12,
        "h2c is HTTP/2 without TLS",
        "leave it out",
    );
    check(
        "[route.a]\nmatch = '/a'\nto = 'order'\n[route.b]\nmatch = '/a'\nto = 'product'",
        14,
        9,
        "is the match of route \"a\" already",
        "",
    );
    check(
        "[limits.'product -> order']\ntimeout = '1s'",
        10,
        9,
        "\"product\" does not need \"order\"",
        "brick.product.needs",
    );
    check(
        "[limits.'edge -> order']\ntimeout = '1s'",
        10,
        9,
        "no route leads from the edge to \"order\"",
        "",
    );
    check(
        "[edge]\nlisten = '127.0.0.1:7700'",
        11,
        10,
        "console and edge both want port 7700",
        "",
    );
    check(
        "[config.order]\nmax-lines = 1\nmax_lines = 2",
        12,
        1,
        "both become the variable MAX_LINES",
        "",
    );
    check(
        "[config.order]\nport = 1",
        11,
        1,
        "would become the variable PORT, which is reserved",
        "",
    );
    check(
        "[config.order]\nproduct_url = 'x'",
        11,
        1,
        "tells where \"product\" is",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nenv = { BRICK_NAME = 'x' }",
        12,
        9,
        "the platform sets BRICK_NAME",
        "",
    );
    check(
        "[load.a]\nsteps = [{ get = '/{x}', save = { x = '$.x' } }]",
        11,
        18,
        "no step before this one saves {x}",
        "",
    );
}

#[test]
fn a_check_asks_with_the_values_of_the_round_and_bricks_that_run() {
    let load = |check: &str| {
        format!(
            "{HEAD}[brick.kiln]\nrun = 'kiln'\n[route.all]\nmatch = '/**'\nto = 'kiln'\n[load.a]\n\
             steps = [{{ get = '/', save = {{ x = '$.x' }} }}]\ncheck = [{check}]"
        )
    };
    let model = parse(&load("{ get = '/{x}', brick = 'kiln' }"), "brick.toml").unwrap();
    let asked = &model.loads["a"].check[0];
    assert_eq!(asked.brick.as_ref().map(|brick| brick.as_str()), Some("kiln"));
    for (check, wanted) in [
        ("{ get = '/{y}' }", "no step before this one saves {y}"),
        ("{ get = '/', brick = 'kin' }", "load.a.check.0.brick"),
    ] {
        let invalid = parse(&load(check), "brick.toml").unwrap_err().render(false);
        assert!(invalid.contains(wanted), "{invalid}");
    }
    let steps = load("{ get = '/' }").replace("get = '/', save", "brick = 'kiln', get = '/', save");
    assert!(
        parse(&steps, "brick.toml").is_err(),
        "a step of the load goes to the edge"
    );
}

#[test]
fn versions_and_demos_say_what_is_wrong() {
    let v2 = "[brick.order.version.v2]\nrun = 'order'\n";
    check(
        "[brick.order.version.v2]\nreplicas = 1",
        10,
        1,
        "missing key \"run\" in [brick.order.version.v2]",
        "the command that starts this version",
    );
    check(
        &format!("{v2}replica = 1"),
        12,
        1,
        "unknown key \"replica\"",
        "\"replicas\"",
    );
    check(
        &format!("{v2}replicas = 101"),
        12,
        12,
        "expected an integer from 0 to 100",
        "",
    );
    check(
        "[brick.order.version.v1]\nrun = 'order'",
        10,
        22,
        "\"v1\" is the label of the base already",
        "version.base",
    );
    check(
        "[brick.order.version.'v 2']\nrun = 'order'",
        10,
        22,
        "label of a version: expected 1 to 32 letters",
        "",
    );
    check(
        "[brick.a]\nrun = 'a'\nversion = 2",
        12,
        11,
        "expected a label such as \"v1\", or a table of versions by label, found the integer 2",
        "",
    );
    check(
        &format!("{v2}env = {{ PORT = '1' }}"),
        12,
        9,
        "brick.order.version.v2.env.PORT: the platform sets PORT",
        "leave it out",
    );
    let demo = |scale: &str| format!("{v2}[demo.fault]\nabout = 'Look.'\nscale = {{ {scale} }}");
    check(
        &demo("ordr = 1"),
        14,
        11,
        "there is no brick \"ordr\"",
        "\"order\"",
    );
    check(
        &demo("'order@v3' = 1"),
        14,
        11,
        "\"order\" has no version \"v3\"",
        "versions: v1, v2",
    );
    check(
        &demo("'order@' = 1"),
        14,
        11,
        "expected a brick such as \"payment\"",
        "",
    );
    check(
        &demo("order = 101"),
        14,
        19,
        "expected an integer from 0 to 100",
        "",
    );
    check(&demo(""), 14, 9, "expected at least one entry", "");
    check(
        "[demo.fault]\nscale = { order = 1 }",
        10,
        1,
        "missing key \"about\" in [demo.fault]",
        "what there is to see",
    );
}

#[test]
fn a_canary_is_tried_as_its_brick_says_then_as_all_then_as_usual() {
    let text = "[canary.default]\nsteps = [10, 100]\nerror_rate = 0.02\n\
                [canary.order]\nhold = '5m'\nerror_rate = 0\np99_times = 1.5\nmin_calls = 500\n";
    let model = parse(&format!("{HEAD}{text}"), "brick.toml").expect("valid");
    let order = model.canary_plan("order");
    assert_eq!(
        (&order.steps[..], order.hold),
        (&[10, 100][..], "5m".parse().unwrap())
    );
    assert_eq!(
        (order.error_rate, order.p99_times, order.min_calls),
        (0.0, 1.5, 500)
    );
    let product = model.canary_plan("product");
    assert_eq!(
        (&product.steps[..], product.hold),
        (&[10, 100][..], "30s".parse().unwrap())
    );
    assert_eq!(
        (product.error_rate, product.p99_times, product.min_calls),
        (0.02, 2.0, 100)
    );
    let json = serde_json::to_string(&model).expect("serialises");
    assert_eq!(serde_json::from_str::<Model>(&json).expect("deserialises"), model);
}

#[test]
fn a_canary_that_makes_no_sense_is_refused_by_its_key() {
    let wrong = |line: &str, message: &str| {
        let column = line.find('=').unwrap_or(0) + 3;
        check(&format!("[canary.order]\n{line}"), 11, column, message, "");
    };
    wrong(
        "steps = [5, 1, 100]",
        "canary.order.steps: expected at most 32 ascending shares from 1 to 100, the last 100, found [5, 1, 100]",
    );
    wrong("steps = [1, 5]", "the last 100, found [1, 5]");
    wrong("steps = []", "the last 100, found []");
    wrong("hold = '25h'", "canary.order.hold: expected 1s to 1d, found 1d1h");
    wrong(
        "error_rate = 1",
        "canary.order.error_rate: expected a share from 0 to below 1, found 1",
    );
    wrong(
        "error_rate = '1 %'",
        "expected a share from 0 to below 1, found the string",
    );
    wrong(
        "p99_times = 0.5",
        "canary.order.p99_times: expected a number from 1 to 100, found 0.5",
    );
    wrong(
        "min_calls = 0",
        "canary.order.min_calls: expected an integer from 1 to 1000000, found 0",
    );
    let entry = "[canary.order]\nsteps = [1, 'all']";
    check(
        entry,
        11,
        13,
        "canary.order.steps.1: expected an integer from 1 to 100, found the string",
        "",
    );
    let name = "[canary.ordr]\nhold = '1s'";
    check(
        name,
        10,
        9,
        "canary.ordr: there is no brick \"ordr\"",
        "did you mean \"order\"?",
    );
    let key = "[canary.default]\nhlod = '1s'";
    check(
        key,
        11,
        1,
        "unknown key \"hlod\" in [canary.default]",
        "did you mean \"hold\"?",
    );
}

#[test]
fn a_concurrent_version_is_its_brick_but_for_its_own_settings() {
    let text = format!(
        "{HEAD}[brick.pay]\nrun = 'pay'\nbuild = 'make'\nversion.base = 'v7'\nneeds = ['product']\nenv = {{ A = '1', B = '1' }}\n\
         [brick.pay.version.v8]\nrun = 'pay8'\nenv = {{ B = '2' }}\n"
    );
    let model = parse(&text, "brick.toml").unwrap_or_else(|e| panic!("{}", e.render(false)));
    let pay = &model.bricks["pay"];
    let label = |text: &str| Some(brick_core::Version::new(text).expect("a label"));
    let v8 = pay.of_version(label("v8").as_ref()).expect("known");
    let env: Vec<&str> = v8.env.values().map(String::as_str).collect();
    assert_eq!(
        (v8.run.as_deref(), v8.build.as_deref(), env),
        (Some("pay8"), None, vec!["1", "2"])
    );
    assert_eq!(
        (v8.replicas.min(), v8.needs.len(), v8.version.base.as_str()),
        (0, 1, "v8")
    );
    for base in [None, label("v7")] {
        assert_eq!(pay.of_version(base.as_ref()).as_deref(), Some(pay));
    }
    assert_eq!(pay.of_version(label("v9").as_ref()), None);
    let refs = pay.refs(&"pay".parse().expect("a name"));
    assert_eq!(
        refs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["pay", "pay@v8"]
    );
}

#[test]
fn a_circle_of_needs_is_named() {
    let lines = "[brick.a]\nrun = 'a'\nneeds = ['b']\n[brick.b]\nrun = 'b'\nneeds = ['c']\n[brick.c]\nrun = 'c'\nneeds = ['a']";
    check(
        lines,
        18,
        10,
        "in a circle: a -> b -> c -> a",
        "leave one need out",
    );
}

#[test]
fn the_root_is_checked() {
    let bricks = "[brick.a]\nrun = 'a'\n";
    check_whole(
        &format!("[system]\nname = 's'\n{bricks}"),
        &[(1, 1, "missing key \"brickwork\"", "brickwork = 1")],
    );
    check_whole(
        &format!("brickwork = 2\n[novel]\n{bricks}"),
        &[(1, 13, "made for a newer Brickwork", "newer brick")],
    );
    check_whole(
        &format!("brickwork = '1'\n[system]\nname = 's'\n{bricks}"),
        &[(1, 13, "expected an integer", "")],
    );
    check_whole(
        &format!("brickwork = 1\n{bricks}"),
        &[(1, 1, "missing key \"system\"", "[system]")],
    );
    check_whole(
        &format!("brickwork = 1\n[system]\n{bricks}"),
        &[(2, 1, "missing key \"name\" in [system]", "")],
    );
    check_whole(
        "brickwork = 1\n[system]\nname = 's'",
        &[(1, 1, "missing key \"brick\"", "[brick.NAME]")],
    );
    check_whole(
        &format!("brickwork = 1\n[system]\nname = 's'\nconsole = 70000\n{bricks}"),
        &[(4, 11, "expected an integer from 0 to 65535, found 70000", "")],
    );
    check_whole("brickwork =", &[(1, 12, "this is not TOML", "")]);
    check_whole(
        &format!("brickwork = 1\nx{}", ".a".repeat(50_000)),
        &[(2, 1, "a dotted key has at most", "")],
    );
}

#[test]
fn deep_keys_are_refused_wherever_they_stand_and_dots_in_texts_are_not() {
    let many = 30_000;
    for text in [
        format!("a{} = 1", ".a".repeat(many)),
        format!("[a{}]", ".a".repeat(many)),
        format!("[[a{}]]", " . a".repeat(many)),
        format!("x = {{ a{} = 1 }}", ".a".repeat(many)),
        format!("\"a\"{} = 1", ".'a'".repeat(many)),
    ] {
        let invalid = parse(&text, "x").expect_err("too deep");
        assert_eq!(invalid.errors()[0].code, "too-deep");
    }
    let dots = ".a".repeat(100);
    let lines = format!(
        "# {dots}\n[config.order]\na = '{dots}'\nb = \"\"\"{dots}\n\\\"{dots}\"\"\"\nc = \"\\\"{dots}\"\n"
    );
    assert!(parse(&format!("{HEAD}{lines}"), "x").is_ok());
}

#[test]
fn all_errors_come_at_once_in_order_of_the_text() {
    let text = "brickwork = 1\n[system]\nname = 'Shop'\n[brick.a]\nrun = 'a'\nneeds = ['b']\nfoo = 1\n[route.x]\nmatch = 'x'\nto = 'c'\n";
    check_whole(
        text,
        &[
            (3, 8, "lower-case letters", ""),
            (6, 10, "there is no brick \"b\"", ""),
            (7, 1, "unknown key \"foo\"", ""),
            (9, 9, "starts with \"/\"", ""),
        ],
    );
}

#[test]
fn an_error_is_drawn_at_its_line() {
    let text = format!("{HEAD}[brick.a]\nrun = 'ü'\nreplcas = 2\n");
    let picture = parse(&text, "systems/a/brick.toml")
        .expect_err("misspelt")
        .render(false);
    for part in [
        "error[unknown-key]: unknown key \"replcas\" in [brick.a]",
        "--> systems/a/brick.toml:12:1",
        "12 | replcas = 2",
        "^^^^^^^",
        "did you mean \"replicas\"?",
    ] {
        assert!(picture.contains(part), "{part:?} in\n{picture}");
    }
    let colored = parse(&text, "b").expect_err("misspelt").render(true);
    assert!(colored.contains("\u{1b}["));
}

#[test]
fn the_shop_is_valid_and_answers_what_the_platform_asks() {
    let (model, warnings) =
        parse_with_warnings(SHOP, "brick.toml").unwrap_or_else(|e| panic!("{}", e.render(false)));
    assert_eq!(warnings, []);
    let waves: Vec<Vec<String>> = model
        .start_order()
        .iter()
        .map(|wave| wave.iter().map(ToString::to_string).collect())
        .collect();
    assert_eq!(
        waves,
        [
            vec!["customer", "payment", "product", "shipping"],
            vec!["order", "recommendation"],
            vec!["storefront"]
        ]
    );
    let routes = model.routes();
    assert_eq!(routes.last().map(|route| route.name.as_str()), Some("storefront"));
    let orders = routes
        .iter()
        .find(|route| route.name == "orders")
        .expect("orders");
    assert_eq!((orders.auth, orders.timeout.as_secs()), (Auth::Jwt, 5));
    assert_eq!(model.timeout("storefront", "recommendation").as_millis(), 500);
    assert_eq!(model.timeout("order", "product").as_secs(), 2);
    let env = model.config_env("order");
    assert_eq!(env.get("MAX_LINES").map(String::as_str), Some("50"));
    let env = model.config_env("storefront");
    assert_eq!(
        env.get("FLAG_EXPRESS_CHECKOUT").map(String::as_str),
        Some("false")
    );
    assert_eq!(
        (model.bricks["order"].zone(1), model.bricks["order"].zone(2)),
        ("a", "b")
    );
}

#[test]
fn a_model_survives_json_and_both_readers_agree() {
    let model = parse(SHOP, "brick.toml").expect("valid");
    let json = serde_json::to_string(&model).expect("serialises");
    assert_eq!(serde_json::from_str::<Model>(&json).expect("deserialises"), model);
    assert_eq!(
        toml::from_str::<Model>(SHOP).expect("the types have the manifest's shape"),
        model
    );
}

#[test]
fn the_schema_knows_every_table() {
    let schema = schema();
    for table in [
        "brickwork",
        "system",
        "mortar",
        "edge",
        "brick",
        "route",
        "limits",
        "config",
        "flag",
        "load",
        "test",
        "env",
        "demo",
    ] {
        assert!(schema["properties"].get(table).is_some(), "{table}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn a_folder_is_loaded_by_its_manifest_and_missing_folders_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = Model::load(dir.path()).expect_err("no manifest");
    assert_eq!(
        (missing.errors()[0].code, missing.errors()[0].line),
        ("unreadable", 0)
    );
    let path = dir.path().join("brick.toml");
    std::fs::write(&path, format!("{HEAD}[brick.a]\nrun = 'a'\ndir = 'x'\n")).expect("written");
    let invalid = Model::load(&path).expect_err("no folder");
    assert_eq!(
        (invalid.errors()[0].code, invalid.errors()[0].line),
        ("missing-folder", 12)
    );
    std::fs::create_dir(dir.path().join("x")).expect("made");
    let loaded = Model::load(dir.path()).expect("valid");
    assert_eq!(
        (loaded.dir.as_path(), loaded.path.as_path()),
        (dir.path(), path.as_path())
    );
    assert_eq!(loaded.warnings.len(), 2, "{:?}", loaded.warnings);
    assert!(loaded.render_warnings(false).contains("nothing calls \"a\""));
}

#[test]
fn every_example_of_the_reference_is_valid() {
    let blocks: Vec<&str> = REFERENCE
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(blocks.len() >= 8, "{} examples", blocks.len());
    for block in blocks {
        let mut text = String::new();
        if !block.contains("brickwork =") {
            text.push_str("brickwork = 1\n");
        }
        if !block.contains("[system]") {
            text.push_str("[system]\nname = \"shop\"\n");
        }
        for brick in ["order", "product", "payment"] {
            if !block.contains(&format!("[brick.{brick}]")) {
                let needs = if brick == "order" {
                    "needs = [\"payment\", \"product\"]\n"
                } else {
                    ""
                };
                text.push_str(&format!("[brick.{brick}]\nrun = \"shop {brick}\"\n{needs}"));
            }
        }
        // The root's keys come before any table.
        let text = if block.contains("brickwork =") {
            format!("{block}{text}")
        } else {
            format!("{text}{block}")
        };
        if let Err(invalid) = parse(&text, "manifest.md") {
            panic!("{}", invalid.render(false));
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = parse(&text, "x").map_err(|e| e.render(true));
    }

    #[test]
    fn no_change_of_a_manifest_makes_the_parser_panic(
        at in 0..SHOP.len(), end in 0..SHOP.len(), with in "[\\[\\]{}='\"a.0#\\n→-]{0,6}",
    ) {
        let (at, end) = (at.min(end), at.max(end));
        if SHOP.is_char_boundary(at) && SHOP.is_char_boundary(end) {
            let text = format!("{}{with}{}", &SHOP[..at], &SHOP[end..]);
            let _ = parse(&text, "x").map_err(|e| e.render(false));
        }
    }

    #[test]
    fn any_command_splits_or_says_why(line in "\\PC*") {
        let _ = crate::command::split(&line);
    }

    #[test]
    fn any_pattern_and_path_is_read_or_refused(text in "[/$.\\[\\]a*0 -]{0,20}") {
        if let Ok(pattern) = text.parse::<crate::Pattern>() {
            let path = if pattern.base().is_empty() { "/" } else { pattern.base() };
            let covered = pattern.matches(path);
            prop_assert!(covered, "{}", path);
        }
        let _ = text.parse::<crate::load::path::JsonPath>();
        let _ = text.parse::<crate::Bytes>();
        let _ = text.parse::<crate::LimitKey>();
        let same = crate::load::template::fill(&text, |name| Some(format!("{{{name}}}")));
        prop_assert_eq!(same, Ok(text));
    }
}

#[test]
fn limits_say_how_an_edge_bears_failure_and_the_bus_has_them_in_milliseconds() {
    let lines = r#"
[limits.default]
timeout = "2s"
retry = false
[limits."order -> product"]
try_timeout = "500ms"
retry = { max = 2, budget = 0.2, base = "25ms", cap = "1s", on = ["connect", "5xx"], methods = ["GET"] }
hedge = { after = "80ms", max = 1 }
concurrency = { max = 64, queue = 32, wait = "100ms", adaptive = true }
breaker = { window = "10s", calls = 0, min_calls = 20, error_rate = 0.5, slow = "1s", slow_rate = 1, open = "5s", probes = 3 }
rate = { per_second = 200, burst = 50 }
fallback = { brick = "product" }
balance = { by = "consistent-hash", key = "header:x-cart", load_bound = 2, zone_aware = true, slow_start = "5s", eject = { failures = 3, for = "4s", max_share = 0.4 }, panic = 0.3 }
[serve.product]
shed = { target = "50ms", interval = "100ms" }
concurrency = 32
"#;
    let model =
        parse(&format!("{HEAD}{lines}"), "brick.toml").unwrap_or_else(|e| panic!("{}", e.render(false)));
    let wire = model.limit("order", "product").wire();
    let expected = serde_json::json!({
        "timeout_ms": 2_000, "try_timeout_ms": 500,
        "retry": { "max": 2, "budget": 0.2, "base_ms": 25, "cap_ms": 1_000, "on": ["connect", "5xx"], "methods": ["GET"] },
        "hedge": { "after_ms": 80, "max": 1 },
        "concurrency": { "max": 64, "queue": 32, "wait_ms": 100, "adaptive": true },
        "breaker": { "window_ms": 10_000, "calls": 0, "min_calls": 20, "error_rate": 0.5, "slow_ms": 1_000,
            "slow_rate": 1.0, "open_ms": 5_000, "probes": 3 },
        "rate": { "per_second": 200, "burst": 50 },
        "fallback": { "brick": "product" },
        "balance": { "by": "consistent-hash", "key": "header:x-cart", "load_bound": 2.0, "zone_aware": true,
            "slow_start_ms": 5_000, "eject": { "failures": 3, "for_ms": 4_000, "max_share": 0.4 }, "panic": 0.3 },
    });
    assert_eq!(wire, expected);
    let other = model.limit("edge", "order").wire();
    assert_eq!(other, serde_json::json!({ "timeout_ms": 2_000, "retry": false }));
    let serve = model.serves["product"].wire();
    let expected = serde_json::json!({ "shed": { "target_ms": 50, "interval_ms": 100 }, "concurrency": 32 });
    assert_eq!(serve, expected);
    let json = serde_json::to_string(&model).expect("serialises");
    assert_eq!(serde_json::from_str::<Model>(&json).expect("deserialises"), model);
}

#[test]
fn a_limit_that_makes_no_sense_is_told_by_its_place() {
    let check = |line: &str, message: &str| {
        let lines = format!("[limits.default]\ntimeout = '1s'\n{line}");
        let invalid = parse(&format!("{HEAD}{lines}"), "brick.toml").expect_err(line);
        let [error] = invalid.errors() else {
            panic!("{line}: {:?}", invalid.errors())
        };
        assert!(
            error.message.contains(message) && error.line == 12,
            "{line}: {error:?}"
        );
    };
    check(
        "retry = true",
        "limits.default.retry: expected false, or a table, found true",
    );
    check(
        "retry = { on = ['5xy'] }",
        "expected one of connect, reset, timeout, gateway, 5xx, found \"5xy\"",
    );
    check(
        "retry = { budget = 2 }",
        "limits.default.retry.budget: expected a number from 0 to 1",
    );
    check(
        "breaker = { error_rate = 'half' }",
        "expected a number from 0 to 1",
    );
    check("breaker = { forced = 'open' }", "unknown key \"forced\"");
    check("hedge = { max = 1 }", "missing key \"after\"");
    check(
        "balance = 'luck'",
        "expected one of peak-ewma, round-robin, weighted, consistent-hash, found \"luck\"",
    );
    check("balance = 'consistent-hash'", "what is hashed has to be said");
    check("balance = { by = 'consistent-hash' }", "missing key \"key\"");
    check(
        "balance = { key = 'name' }",
        "expected user, tenant, header:NAME or cookie:NAME",
    );
    check(
        "balance = { load_bound = 0.5 }",
        "expected a number from 1 to 100",
    );
    check(
        "balance = { eject = { for = 'ever' } }",
        "limits.default.balance.eject.for",
    );
    check(
        "fallback = 'old'",
        "limits.default.fallback: expected false, \"stale\"",
    );
    check(
        "fallback = { status = 200, json = '{' }",
        "limits.default.fallback.json: expected a JSON document",
    );
    check("fallback = { brick = 'nobody' }", "there is no brick \"nobody\"");
    let lines = "[limits.'order -> product']\nfallback = { brick = 'order' }";
    let outside = "[brick.psp]\nexternal = 'https://psp.example'\n[route.a]\nmatch = '/a'\nto = 'order'
[limits.'edge -> order']\nfallback = { brick = 'psp' }";
    super::tests::check(
        outside,
        16,
        22,
        "\"psp\" is outside the system",
        "name a brick that runs here",
    );
    let message = "\"order\" does not need \"order\", so it may not call it";
    super::tests::check(lines, 11, 22, message, "add \"order\" to brick.order.needs");
    super::tests::check(
        "[serve.ordr]\nconcurrency = 1",
        10,
        8,
        "there is no brick \"ordr\"",
        "\"order\"",
    );
}

#[test]
fn the_host_proxys_keys_are_held_against_what_a_brick_speaks() {
    check(
        "[brick.a]\nrun = 'a'\nprotocol = 'tcp'\n[route.a]\nmatch = '/'\nto = 'a'\nauth = 'public'",
        15,
        6,
        "\"a\" speaks no HTTP",
        "let a brick need it",
    );
    check(
        "[brick.a]\nrun = 'a'\nidle_timeout = '5m'",
        12,
        1,
        "only connections to a brick with protocol = \"tcp\"",
        "leave it out",
    );
    check(
        "[brick.a]\nrun = 'a'\nprotocol = 'tcp'\ninbound = 'bricks'",
        13,
        1,
        "the host proxy passes HTTP/1.1 on",
        "leave inbound out",
    );
    check(
        "[brick.a]\nrun = 'a'\ninbound = 'everybody'",
        12,
        11,
        "expected \"public\", \"users\", \"bricks\" or \"users or bricks\"",
        "",
    );
    check(
        "[brick.a]\nexternal = 'https://a'\nproxy = true",
        12,
        1,
        "an external brick has no proxy",
        "keep either",
    );
    let text = "[brick.a]\nrun = 'a'\nproxy = true\nneeds = ['b']\n[brick.b]\nrun = 'b'\nprotocol = 'tcp'\nidle_timeout = '5m'";
    let model = parse(&format!("{HEAD}{text}"), "brick.toml").unwrap();
    assert!(model.bricks["a"].proxy && !model.bricks["b"].proxy);
}

#[test]
fn a_flag_is_a_switch_or_says_in_flagds_words_who_gets_which_variant() {
    let text = r##"
brickwork = 1
[system]
name = "shop"
[brick.order]
run = "order"
[flag.plain]
default = true
bricks = ["order"]
[flag.button]
default = "grey"
variants = { grey = "#888", green = "#0a0" }
targeting = { if = [{ "==" = [{ var = "tenant" }, "acme"] }, "green"] }
bricks = ["order"]
[flag.split]
default = false
state = "DISABLED"
targeting = '{"fractional": [["on", 10], ["off", 90]]}'
bricks = ["order"]
"##;
    let model = parse(text, "brick.toml").expect("valid");
    assert_eq!(
        model.flags["plain"].definition(),
        brick_flags::Definition::boolean(true)
    );
    let button = model.flags["button"].definition();
    let expect = serde_json::json!({ "if": [{ "==": [{ "var": "tenant" }, "acme"] }, "green"] });
    assert_eq!(button.targeting, Some(expect));
    assert_eq!(
        model.flags["split"].definition().shares().expect("a split")["on"],
        10.0
    );
    let config = model.config_of("order");
    assert_eq!(
        config["flag"],
        serde_json::json!({ "plain": true, "button": "#888", "split": false })
    );
    assert_eq!(toml::from_str::<Model>(text).expect("the same shape"), model);
    for (from, to, message) in [
        (
            "default = true",
            "default = \"yes\"",
            "flag.plain.defaultVariant: expected one of the variants (on, off)",
        ),
        (
            "\"green\"]",
            "\"gren\"]",
            "flag.button.targeting.if[1]: expected one of the variants, found \"gren\"",
        ),
        (
            "\"DISABLED\"",
            "\"off\"",
            "flag.split.state: expected \"ENABLED\" or \"DISABLED\", found \"off\"",
        ),
        ("{ var", "{ varr", "there is no operator \"varr\""),
    ] {
        let errors = parse(&text.replacen(from, to, 1), "brick.toml")
            .expect_err(message)
            .to_string();
        assert!(errors.contains(message), "{errors}");
    }
}
