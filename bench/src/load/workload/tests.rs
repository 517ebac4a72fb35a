//! Files that are workloads, and the sentences for those that are not.

use super::*;

const HEAD: &str = "about = \"x\"\n";
const PLAN: &str = "[plan]\nrate = 10\nduration = \"1s\"\n";
const LIST: &str = "[[request]]\nkind = \"list\"\n";

fn parsed(text: &str) -> Result<Workload, String> {
    Workload::parse("w", "w.toml", text).map_err(|error| error.to_string())
}

#[test]
fn what_a_file_does_not_say_has_a_default() {
    let workload = parsed(&[HEAD, PLAN, LIST].concat()).unwrap();
    let expected = Workload {
        name: "w".to_owned(),
        about: "x".to_owned(),
        seed: 1,
        connections: 64,
        threads: 1,
        cpus: Vec::new(),
        timeout: Duration::from_secs(5),
        warm_up: Duration::from_secs(2),
        check_one_in: 256,
        plan: Plan::Steps {
            rates_per_second: vec![10.0],
            step: Duration::from_secs(1),
        },
        products: Ids::Uniform {
            first: 1,
            last: 1_000_011,
        },
        reviews: Ids::Uniform {
            first: 1,
            last: 5_774_952,
        },
        requests: vec![Request {
            weight: 1,
            what: What::List {
                sort: None,
                page: Numbers::Default,
                count: Numbers::Default,
            },
            old: false,
            also_right: Vec::new(),
        }],
    };
    assert_eq!(workload, expected);
}

#[test]
fn each_plan_and_each_distribution_has_its_keys() {
    let second = Duration::from_secs(1);
    for (table, plan) in [
        (
            "rates = [1, 2.5]\nstep = \"1s\"",
            Plan::Steps {
                rates_per_second: vec![1.0, 2.5],
                step: second,
            },
        ),
        (
            "from = 1\nto = 9\nduration = \"1s\"",
            Plan::Ramp {
                from_per_second: 1.0,
                to_per_second: 9.0,
                duration: second,
            },
        ),
        (
            "closed = true\nduration = \"1s\"",
            Plan::Closed { duration: second },
        ),
    ] {
        let text = format!("{HEAD}[plan]\n{table}\n{LIST}");
        assert_eq!(parsed(&text).unwrap().plan, plan);
    }
    for (table, ids) in [
        ("first = 5\nlast = 9", Ids::Uniform { first: 5, last: 9 }),
        (
            "last = 9\nzipf = 1.5",
            Ids::Zipf {
                first: 1,
                last: 9,
                exponent: 1.5,
            },
        ),
        ("set = [3, 4]", Ids::Set(vec![3, 4])),
    ] {
        let text = format!("{HEAD}{PLAN}[products]\n{table}\n[reviews]\n{table}\n{LIST}");
        let workload = parsed(&text).unwrap();
        assert_eq!((&workload.products, &workload.reviews), (&ids, &ids));
    }
}

#[test]
fn pages_and_counts_are_a_number_or_several_or_a_range() {
    for (written, numbers) in [
        ("3", Numbers::OneOf(vec![3])),
        ("[3, 5]", Numbers::OneOf(vec![3, 5])),
        (
            "{ first = 3, last = 5 }",
            Numbers::Range { first: 3, last: 5 },
        ),
    ] {
        let text = format!("{HEAD}{PLAN}{LIST}page = {written}\n");
        let [
            Request {
                what: What::List { page, .. },
                ..
            },
        ] = &parsed(&text).unwrap().requests[..]
        else {
            panic!("no list");
        };
        assert_eq!(page, &numbers);
    }
}

#[test]
fn what_is_wrong_is_one_sentence_with_file_line_and_key() {
    for (text, expected) in [
        ("[plan\n".to_owned(), "w.toml, line 1: "),
        (format!("{HEAD}{PLAN}"), "w.toml: missing field `request`"),
        (
            format!("{HEAD}{PLAN}pace = 1\n{LIST}"),
            "w.toml, line 5, plan.pace: unknown field",
        ),
        (
            format!("{HEAD}colour = 1\n{PLAN}{LIST}"),
            "w.toml, line 2, colour: unknown field",
        ),
        (
            format!("{HEAD}timeout = \"5\"\n{PLAN}{LIST}"),
            "w.toml, line 2, timeout: a time is a whole number",
        ),
        (
            format!("{HEAD}{PLAN}[[request]]\nkind = \"lists\"\n"),
            "w.toml, line 6, request.kind: unknown variant",
        ),
        (
            format!("{HEAD}{PLAN}{LIST}page = -1\n"),
            "w.toml, line 7, request.page: invalid value",
        ),
        (
            format!("{HEAD}{PLAN}{LIST}page = \"x\"\n"),
            "w.toml, line 7, request.page: invalid type",
        ),
        (
            format!("{HEAD}{PLAN}{LIST}sort = \"best\"\n"),
            "w.toml, line 7, request.sort: unknown variant",
        ),
        (
            format!("{HEAD}{PLAN}{LIST}learn = 5\n"),
            "w.toml: request.learn does not go with this kind",
        ),
        (
            format!("{HEAD}{PLAN}[[request]]\nkind = \"styles\"\nold = true\n"),
            "w.toml: request.old does not go with",
        ),
        (
            format!("{HEAD}{PLAN}{LIST}count = []\n"),
            "w.toml: the number of values of request.count is from 1",
        ),
        (
            format!("{HEAD}{PLAN}{LIST}count = 0\n"),
            "w.toml: request.count is from 1 to 4294967295, not 0",
        ),
        (
            format!("{HEAD}{PLAN}{LIST}page = {{ first = 5, last = 4 }}\n"),
            "w.toml: request.page.last is from 5",
        ),
        (
            format!("{HEAD}{PLAN}{LIST}weight = 0\n"),
            "w.toml: request.weight is from 1 to 1000000, not 0",
        ),
        (
            format!("{HEAD}{PLAN}{LIST}also_right = [99]\n"),
            "w.toml: request.also_right: 99 is no status",
        ),
        (
            format!("{HEAD}[plan]\nrate = 10\n{LIST}"),
            "w.toml: plan.duration is missing",
        ),
        (
            format!("{HEAD}[plan]\nrate = 10\nclosed = true\n{LIST}"),
            "w.toml: a plan is one of: rate and duration",
        ),
        (
            format!("{HEAD}[plan]\nrates = []\nstep = \"1s\"\n{LIST}"),
            "w.toml: the number of plan.rates is from 1 to 100, not 0",
        ),
        (
            format!("{HEAD}[plan]\nrate = nan\nduration = \"1s\"\n{LIST}"),
            "w.toml: a rate is from 0.01",
        ),
        (
            format!("{HEAD}{PLAN}[products]\nfirst = 0\n{LIST}"),
            "w.toml: products.first is from 1",
        ),
        (
            format!("{HEAD}{PLAN}[products]\nfirst = 9\nlast = 8\n{LIST}"),
            "w.toml: products.last is from 9",
        ),
        (
            format!("{HEAD}{PLAN}[reviews]\nzipf = 11.0\n{LIST}"),
            "w.toml: reviews.zipf is an exponent from 0 to 10",
        ),
        (
            format!("{HEAD}{PLAN}[reviews]\nset = [1]\nlast = 5\n{LIST}"),
            "w.toml: reviews.set stands alone",
        ),
        (
            format!("{HEAD}connections = 0\n{PLAN}{LIST}"),
            "w.toml: connections is from 1 to 60000, not 0",
        ),
    ] {
        let sentence = parsed(&text).unwrap_err();
        assert!(sentence.starts_with(expected), "{sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[test]
fn a_workload_that_is_not_there_is_named_with_those_that_are() {
    let sentence = Workload::find("nosuch").unwrap_err().to_string();
    assert!(
        sentence.starts_with("nosuch: there is no such workload; there are hot, "),
        "{sentence}"
    );
    let sentence = Workload::find("./nosuch.toml").unwrap_err().to_string();
    assert!(
        sentence.starts_with("cannot read ./nosuch.toml: "),
        "{sentence}"
    );
}

#[test]
fn what_a_caller_says_takes_the_place_of_what_the_file_says() {
    let file = parsed(&[HEAD, PLAN, LIST].concat()).unwrap();
    assert_eq!(file.clone().with(&Overrides::default()).unwrap(), file);
    let minute = Duration::from_mins(1);
    let overrides = Overrides {
        rate_per_second: Some(5.0),
        duration: Some(minute),
        warm_up: Some(Duration::ZERO),
        connections: Some(8),
        threads: Some(2),
        cpus: Some(vec![1]),
        timeout: Some(minute),
        seed: Some(9),
        check_one_in: Some(0),
        last_product: Some(100),
        last_review: Some(200),
        ..Overrides::default()
    };
    let mut expected = file.clone();
    expected.plan = Plan::Steps {
        rates_per_second: vec![5.0],
        step: minute,
    };
    expected.warm_up = Duration::ZERO;
    expected.connections = 8;
    expected.threads = 2;
    expected.cpus = vec![1];
    expected.timeout = minute;
    expected.seed = 9;
    expected.check_one_in = 0;
    expected.products = Ids::Uniform {
        first: 1,
        last: 100,
    };
    expected.reviews = Ids::Uniform {
        first: 1,
        last: 200,
    };
    assert_eq!(file.clone().with(&overrides).unwrap(), expected);
    let closed = Overrides {
        closed: true,
        ..Overrides::default()
    };
    let duration = Duration::from_secs(1);
    assert_eq!(
        file.clone().with(&closed).unwrap().plan,
        Plan::Closed { duration }
    );
    let steps = Overrides {
        steps_per_second: Some(vec![1.0, 2.0]),
        ..Overrides::default()
    };
    let plan = file.with(&steps).unwrap().plan;
    assert!(matches!(plan, Plan::Steps { rates_per_second, .. } if rates_per_second == [1.0, 2.0]));
}
