//! A thread that makes answers before they are requested: first those that were requested most before the
//! server was restarted, then those of the whole shop, compressed.
//!
//! Must not know the resident answers' insides, or HTTP. Invariants: it is the last thread that the machine has
//! time for; it takes the place of no answer that was requested; when its handle is dropped it ends after the
//! answer that it is at, or once a dictionary is made.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::super::super::endpoints::ReadQuery;
use super::super::cache::{Answers, Cached};
use super::super::render;
use super::super::render::pieces::{AnswerBounds, RenderOutcome};
use super::super::render::spelling::Spelling;
use super::{ResidentKind, hot};
use crate::budget::FREE_BYTES_MAX;
use crate::model::ProductId;
use crate::store::{Error, JoinOnDrop, ProductListing, Store};

/// Answers of a kind from which its dictionary is made.
const SAMPLES: u64 = 1500;
/// Products whose ids are read at once.
const PRODUCTS_AT_ONCE: usize = 256;
/// The lowest priority.
const NICE: i32 = 19;

/// The time after which the answers that are requested most are noted again.
const NOTE_TIME: Duration = Duration::from_mins(5);

/// The thread; dropped, it is waited for.
pub(crate) struct FillThread {
    /// Dropped, it is the signal to end.
    _stop: Sender<()>,
    _thread: Option<JoinOnDrop>,
}

/// The store and the answers that the thread works with.
pub(crate) struct Fill {
    pub(crate) store: Store,
    pub(crate) answers: Arc<Answers>,
    pub(crate) spelling: Spelling,
}

impl Fill {
    /// Starts the thread.
    pub(crate) fn start(self) -> FillThread {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("fill".to_owned());
        let thread = thread.spawn(move || {
            // Where the system does not allow it, the thread competes with the others.
            let _ = rustix::process::setpriority_process(None, NICE);
            self.run(&stopped);
        });
        let thread = thread.inspect_err(|error| {
            tracing::warn!("no answer is made before it is requested: no thread for it: {error}");
        });
        FillThread {
            _stop: stop,
            _thread: thread.ok().map(JoinOnDrop::from),
        }
    }

    fn run(&self, stop: &Receiver<()>) {
        if self.make_hot(stop).is_break() {
            // The list of the last time is still the better one.
            return;
        }
        let _ = self.make_all(stop);
        loop {
            let is_over = stop.recv_timeout(NOTE_TIME) != Err(RecvTimeoutError::Timeout);
            if let Err(error) = self.store.set_hot_answers(&hot::note(&self.answers)) {
                tracing::debug!("the answers that are requested most are not noted: {error}");
            }
            if is_over {
                return;
            }
        }
    }

    /// Makes the answers that were requested most when it was noted last.
    fn make_hot(&self, stop: &Receiver<()>) -> ControlFlow<()> {
        let note = self.store.hot_answers().unwrap_or_default();
        for read_query in hot::read(&note.unwrap_or_default()) {
            go_on(stop)?;
            let key = self.answers.key(read_query);
            if let Some((key, body)) = key.zip(self.render(read_query)) {
                self.answers.keep(key, Cached { body, permit: None });
            }
        }
        ControlFlow::Continue(())
    }

    /// Makes dictionaries and then answers, until all are there, or there is no more space.
    fn make_all(&self, stop: &Receiver<()>) -> ControlFlow<()> {
        let resident = self.answers.resident();
        if resident.is_disabled() {
            return ControlFlow::Break(());
        }
        for kind in [
            ResidentKind::List,
            ResidentKind::Meta,
            ResidentKind::Styles,
            ResidentKind::Product,
        ] {
            let samples = self.samples(kind, stop)?;
            resident.train(kind, &samples);
        }
        self.fill(&[ResidentKind::List, ResidentKind::Meta], stop)?;
        self.fill(&[ResidentKind::Styles], stop)?;
        self.fill(&[ResidentKind::Product], stop)
    }

    /// Makes the answers of some kinds for every product.
    fn fill(&self, kinds: &[ResidentKind], stop: &Receiver<()>) -> ControlFlow<()> {
        let Some(rows) = kinds.first().map(|kind| kind.rows()) else {
            return ControlFlow::Continue(());
        };
        let mut from = ProductId(0);
        loop {
            let products = self.products(rows, from, PRODUCTS_AT_ONCE);
            for product in &products {
                for kind in kinds {
                    go_on(stop)?;
                    self.make(kind.query(*product))?;
                }
            }
            match products.last().and_then(|last| last.0.checked_add(1)) {
                Some(next) => from = ProductId(next),
                None => return ControlFlow::Continue(()),
            }
        }
    }

    /// Makes one answer, if it is not here and there is space for it.
    fn make(&self, read_query: ReadQuery) -> ControlFlow<()> {
        // Before the store is read.
        let key = self.answers.key(read_query);
        let resident = self.answers.resident();
        if let Some(key) = key
            && !resident.has(&key)
            && let Some(answer) = self.render(read_query)
            && !resident.put_in_free_space(&key, &answer)
        {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Answers of a kind, of products from the first to the last.
    fn samples(&self, kind: ResidentKind, stop: &Receiver<()>) -> ControlFlow<(), Vec<Bytes>> {
        let last = self.last_product(kind.rows());
        let mut samples = Vec::new();
        let mut next = ProductId(0);
        for number in 0..SAMPLES {
            go_on(stop)?;
            let wanted = u128::from(last.0) * u128::from(number) / u128::from(SAMPLES);
            let wanted = ProductId(u64::try_from(wanted).unwrap_or(u64::MAX));
            let products = self.products(kind.rows(), wanted.max(next), 1);
            let Some(product) = products.first() else {
                break;
            };
            samples.extend(self.render(kind.query(*product)));
            next = ProductId(product.0.saturating_add(1));
        }
        ControlFlow::Continue(samples)
    }

    /// The last product that has such rows.
    fn last_product(&self, rows: ProductListing) -> ProductId {
        let mut known = ProductId(0);
        for bit in (0..u64::BITS).rev() {
            let further = ProductId(known.0 | 1 << bit);
            if !self.products(rows, further, 1).is_empty() {
                known = further;
            }
        }
        known
    }

    /// Products from one on that have such rows; none where they cannot be read, which a request for them
    /// will report.
    fn products(&self, rows: ProductListing, from: ProductId, ids_max: usize) -> Vec<ProductId> {
        let products = self
            .store
            .read(|reader| reader.product_ids(rows, from, ids_max));
        products.unwrap_or_default()
    }

    /// The rendered answer; `None` if it is large, or cannot be read.
    fn render(&self, read_query: ReadQuery) -> Option<Bytes> {
        let rendered: Result<_, Error> = self.store.read(|reader| {
            let bounds = AnswerBounds {
                bytes_max: FREE_BYTES_MAX,
                grow: &mut |bytes| bytes <= FREE_BYTES_MAX,
            };
            render::answer(read_query, reader, self.spelling, bounds)
        });
        match rendered {
            Ok(RenderOutcome::Done(rendered)) if rendered.is_whole() => Some(rendered.first),
            _ => None,
        }
    }
}

fn go_on(stop: &Receiver<()>) -> ControlFlow<()> {
    match stop.try_recv() {
        Err(TryRecvError::Empty) => ControlFlow::Continue(()),
        Ok(()) | Err(TryRecvError::Disconnected) => ControlFlow::Break(()),
    }
}
