//! The scenarios: what was published, by a stack of what, and what is done here to compare.
//!
//! Owns this table and nothing else. It must not know how anything is started or measured.
//! Invariant: the words of a claim are those of whoever published it, shortened, never rounded.

use super::peers::Server;

/// One row of the comparison.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The published claim.
    pub(crate) claim: &'static str,
    /// The published stack.
    pub(crate) stack: &'static str,
    /// The measurement here, as a sentence.
    pub(crate) about: &'static str,
    pub(crate) what: What,
    pub(crate) servers: &'static [Server],
}

/// The measurement of each of the servers.
pub(crate) enum What {
    /// The published rates are kept, and then as much is asked for as is answered.
    Rates {
        load: Load,
        per_second: &'static [f64],
        /// True if the rate is also kept from a start with nothing in any cache.
        cold: bool,
    },
    /// Rates rise in steps.
    Knee {
        load: Load,
        per_second: &'static [f64],
    },
    /// Reads as fast as they are answered, in turn alone and with so many reviews a second beside them.
    UnderWrites { load: Load, posts_per_second: f64 },
    /// A primary with copies that follow it, with so many reviews a second.
    Replicas { load: Load, posts_per_second: f64 },
    /// The CSV files into each store.
    Import,
}

/// The requests.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) ids: Ids,
    /// The requests, as in a workload's file.
    pub(crate) requests: &'static str,
    pub(crate) writes: bool,
}

/// The products of requests, in a shop that may be smaller than the published one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Any.
    All,
    /// The products up to this one.
    UpTo(u64),
    /// The products of a range, or as many of the last ones.
    Few { first: u64, last: u64 },
}

const LIST: &str = "[[request]]\nkind = \"list\"\n";
const OLD_LIST: &str = "[[request]]\nkind = \"list\"\nold = true\n";
const OLD_META: &str = "[[request]]\nkind = \"meta\"\nold = true\n";
const LIST_AND_META: &str = "[[request]]\nkind = \"list\"\n[[request]]\nkind = \"meta\"\n";
const STYLES: &str = "[[request]]\nkind = \"styles\"\n";
const POST: &str = "[[request]]\nkind = \"post\"\nlearn = 1000\n";

const FEW: Ids = Ids::Few {
    first: 100_000,
    last: 100_010,
};

/// The servers that answer from a database, and those that stand before one.
const READERS: &[Server] = &[Server::Reviewsd, Server::Express, Server::ExpressCached];
/// Nothing is cached that is written.
const WRITERS: &[Server] = &[Server::Reviewsd, Server::Express];

/// The scenarios, in the order in which they are run.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "import",
        claim: "",
        stack: "",
        about: "the ten CSV files into each store, made durable, on both cores; reviewsd on the micro \
                instance as well",
        what: What::Import,
        servers: WRITERS,
    },
    Scenario {
        name: "goal-1000",
        claim: "the aim: 1000/s, < 2000 ms, < 1 % errors; reached: 900 ms, later 623 ms with 8.4 % errors",
        stack: "Express, MySQL, 2 services, nginx, Redis",
        about: "lists and summaries of random products",
        what: What::Rates {
            load: reads(Ids::All, LIST_AND_META),
            per_second: &[1000.0],
            cold: true,
        },
        servers: READERS,
    },
    Scenario {
        name: "balanced-60000",
        claim: "36,000/s with 400 ms and 0 % errors on five instances; up to 60,000/s after tuning",
        stack: "Postgres, Docker, nginx, five and six servers",
        about: "lists and summaries of random products, on one instance",
        what: What::Rates {
            load: reads(Ids::All, LIST_AND_META),
            per_second: &[36_000.0, 60_000.0],
            cold: false,
        },
        servers: READERS,
    },
    Scenario {
        name: "random-list",
        claim: "1000 clients/s: 8 ms, 0.00 % errors",
        stack: "Postgres, 4 services, load balancer, cache",
        about: "lists of random products of 1 to 100,000, in the older spelling",
        what: What::Rates {
            load: reads(Ids::UpTo(100_000), OLD_LIST),
            per_second: &[1000.0],
            cold: true,
        },
        servers: READERS,
    },
    Scenario {
        name: "random-meta",
        claim: "1000 clients/s: 5 ms, 0.003 % errors",
        stack: "Postgres, 4 services, load balancer, cache",
        about: "summaries of random products of 1 to 100,000, in the older spelling",
        what: What::Rates {
            load: reads(Ids::UpTo(100_000), OLD_META),
            per_second: &[1000.0],
            cold: true,
        },
        servers: READERS,
    },
    Scenario {
        name: "repeat-meta",
        claim: "10,000/s at 3 ms, from cache",
        stack: "Postgres, 4 services, load balancer, cache",
        about: "summaries of eleven products, 100,000 to 100,010",
        what: What::Rates {
            load: reads(FEW, OLD_META),
            per_second: &[10_000.0],
            cold: false,
        },
        servers: READERS,
    },
    Scenario {
        name: "repeat-list",
        claim: "5,000/s, from cache",
        stack: "Postgres, 4 services, load balancer, cache",
        about: "lists of eleven products, 100,000 to 100,010",
        what: What::Rates {
            load: reads(FEW, OLD_LIST),
            per_second: &[5000.0],
            cold: false,
        },
        servers: READERS,
    },
    Scenario {
        name: "get-500",
        claim: "500 GET reviews/s for 15 s: 71 ms, 0 % errors",
        stack: "Node, Postgres, nginx, six micro instances",
        about: "lists of random products",
        what: What::Rates {
            load: reads(Ids::All, LIST),
            per_second: &[500.0],
            cold: true,
        },
        servers: READERS,
    },
    Scenario {
        name: "styles-1000",
        claim: "1000/s: 3326 ms, 1.3 % errors on one host; 62 ms, 0 % after two hosts and nginx caching",
        stack: "Node, Postgres, nginx",
        about: "styles of random products",
        what: What::Rates {
            load: reads(Ids::All, STYLES),
            per_second: &[1000.0],
            cold: true,
        },
        servers: READERS,
    },
    Scenario {
        name: "same-bytes",
        claim: "",
        stack: "",
        about: "one list, again and again: what HTTP alone costs, with the same bytes from each",
        what: What::Rates {
            load: reads(
                Ids::Few {
                    first: 100_000,
                    last: 100_000,
                },
                LIST,
            ),
            per_second: &[],
            cold: false,
        },
        servers: &[
            Server::Floor,
            Server::Reviewsd,
            Server::File,
            Server::FloorCached,
            Server::ReviewsdCached,
            Server::Express,
            Server::ExpressCached,
        ],
    },
    Scenario {
        name: "knee",
        claim: "",
        stack: "",
        about: "lists of random products, faster and faster",
        what: What::Knee {
            load: reads(Ids::All, LIST),
            per_second: &[
                500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0, 24_000.0, 32_000.0, 40_000.0,
                50_000.0,
            ],
        },
        servers: READERS,
    },
    Scenario {
        name: "post-1000",
        claim: "1000 POSTs/s for 15 s: 127 ms, 0 % errors",
        stack: "Node, Postgres, nginx, six micro instances",
        about: "new reviews of random products, each on the disk before it is answered",
        what: What::Rates {
            load: Load {
                ids: Ids::All,
                requests: POST,
                writes: true,
            },
            per_second: &[1000.0],
            cold: false,
        },
        servers: WRITERS,
    },
    Scenario {
        name: "get-under-writes",
        claim: "",
        stack: "",
        about: "lists of random products as fast as they are answered, in turn alone and while 1,000 \
                reviews a second are written",
        what: What::UnderWrites {
            load: reads(Ids::All, LIST),
            posts_per_second: 1000.0,
        },
        servers: WRITERS,
    },
    Scenario {
        name: "replication",
        claim: "",
        stack: "",
        about: "three read-only copies of a primary that 1,000 reviews a second are written to, on the \
                processor of the load",
        what: What::Replicas {
            load: reads(Ids::All, LIST),
            posts_per_second: 1000.0,
        },
        servers: &[Server::Reviewsd],
    },
];

const fn reads(ids: Ids, requests: &'static str) -> Load {
    Load {
        ids,
        requests,
        writes: false,
    }
}

/// The writes beside the reads of [`What::UnderWrites`].
pub(crate) const WRITES_BESIDE: Load = Load {
    ids: Ids::All,
    requests: POST,
    writes: true,
};

impl Scenario {
    /// True if anything was published that it is compared with.
    pub(crate) fn has_claim(&self) -> bool {
        !self.claim.is_empty()
    }

    /// True if its servers are written to.
    pub(crate) fn writes(&self) -> bool {
        match &self.what {
            What::Rates { load, .. } | What::Knee { load, .. } => load.writes,
            What::UnderWrites { .. } | What::Replicas { .. } => true,
            What::Import => false,
        }
    }
}

impl Ids {
    /// The first and the last of them in a shop of so many products.
    pub(crate) fn within(self, products: u64) -> (u64, u64) {
        match self {
            Self::All => (1, products),
            Self::UpTo(last) => (1, last.min(products)),
            Self::Few { first, last } if last <= products => (first, last),
            Self::Few { first, last } => {
                let span = last - first;
                (products.saturating_sub(span).max(1), products)
            }
        }
    }
}

impl Load {
    /// The text of a workload that asks for this, as fast as it is answered until told otherwise.
    pub(crate) fn workload(&self, products: u64) -> String {
        let (first, last) = self.ids.within(products);
        let products = match self.ids {
            Ids::Few { .. } => {
                let ids: Vec<String> = (first..=last).map(|id| id.to_string()).collect();
                format!("set = [{}]", ids.join(", "))
            }
            Ids::All | Ids::UpTo(_) => format!("first = {first}\nlast = {last}"),
        };
        format!(
            "about = \"a scenario\"\n[plan]\nclosed = true\nduration = \"10s\"\n[products]\n{products}\n{}",
            self.requests
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Workload;

    #[test]
    fn names_are_all_different_and_fit_for_files() {
        let mut names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        let fit = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
        assert!(names.iter().all(|name| name.chars().all(fit)));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SCENARIOS.len());
    }

    #[test]
    fn every_published_row_is_there_with_its_figures() {
        for (name, figures) in [
            (
                "goal-1000",
                ["1000/s", "2000 ms", "623 ms", "8.4 %"].as_slice(),
            ),
            ("balanced-60000", &["36,000/s", "400 ms", "60,000/s"]),
            ("random-list", &["8 ms", "0.00 %"]),
            ("random-meta", &["5 ms", "0.003 %"]),
            ("repeat-meta", &["10,000/s", "3 ms"]),
            ("repeat-list", &["5,000/s"]),
            ("post-1000", &["1000 POSTs/s", "15 s", "127 ms", "0 %"]),
            ("get-500", &["500 GET", "71 ms", "0 %"]),
            ("styles-1000", &["3326 ms", "1.3 %", "62 ms"]),
        ] {
            let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
            let scenario = scenario.unwrap_or_else(|| panic!("{name} is missing"));
            for figure in figures {
                assert!(scenario.claim.contains(figure), "{name}: {figure}");
            }
            assert!(!scenario.stack.is_empty(), "{name}");
            assert!(scenario.servers.contains(&Server::Reviewsd), "{name}");
            assert!(scenario.servers.contains(&Server::Express), "{name}");
        }
    }

    #[test]
    fn every_load_is_a_workload_at_any_size_of_the_shop() {
        for scenario in SCENARIOS {
            let load = match &scenario.what {
                What::Rates { load, .. }
                | What::Knee { load, .. }
                | What::UnderWrites { load, .. }
                | What::Replicas { load, .. } => load,
                What::Import => continue,
            };
            for products in [1, 9, 2000, 100_005, 1_000_011] {
                let text = load.workload(products);
                Workload::parse(scenario.name, "the table", &text).unwrap();
            }
        }
    }

    #[test]
    fn a_smaller_shop_repeats_its_last_products() {
        assert_eq!(FEW.within(1_000_011), (100_000, 100_010));
        assert_eq!(FEW.within(2000), (1990, 2000));
        assert_eq!(FEW.within(3), (1, 3));
        assert_eq!(Ids::UpTo(100_000).within(5000), (1, 5000));
    }
}
