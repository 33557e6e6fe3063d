//! What a node says it takes on, so that a requester learns at once when nobody will bid on a job.

use serde::{Deserialize, Serialize};

use super::{Amount, Deal, Resources, Span, Spec, platform::MAX_PLATFORM_BYTES, runs_on};

/// The longest offer, as text, in bytes.
pub const MAX_OFFER_BYTES: usize = 512;

/// What a node says it takes on. Nobody vouches for it, and only hints follow from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Offer {
    /// Slots: how many jobs the node runs at once.
    pub slots: u32,
    /// The platform: operating system and architecture as images name them, such as `linux/amd64`.
    pub platform: String,
    /// The most that one container may use. The machine may have less.
    pub resources: Resources,
    /// The longest timeout.
    pub timeout: Span,
    /// The longest time from the last acceptance to the close of commits.
    pub run: Span,
    /// The shortest time for reveals.
    #[serde(default)]
    pub shortest_reveal: Span,
    /// The longest time for reveals.
    pub reveal: Span,
    /// The highest bond.
    pub bond: Amount,
    /// The lowest price of a seat.
    #[serde(default)]
    pub price: Amount,
}

/// An amount that a job asks for and no known node allows: too much, or of [`Limit::ShortReveal`] and [`Limit::LowPrice`] too
/// little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Exceeded {
    /// The limit.
    pub limit: Limit,
    /// What the job asks for.
    pub asked: u128,
    /// The most that any known node allows, or the least.
    pub most: u128,
}

/// A limit in an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Bytes of memory.
    Memory,
    /// Thousandths of a CPU.
    Cpus,
    /// Processes.
    Processes,
    /// Bytes of output.
    Disk,
    /// Bytes of the scratch directory.
    Scratch,
    /// Seconds of one run.
    Timeout,
    /// Seconds from the last acceptance to the close of commits.
    Run,
    /// Seconds for reveals.
    Reveal,
    /// The same, where the job asks for too few.
    ShortReveal,
    /// Wei of bond.
    Bond,
    /// Wei of price, where the job offers too little.
    LowPrice,
}

impl Limit {
    /// Whether a node wants this much at least.
    const fn is_least(self) -> bool {
        match self {
            Self::ShortReveal | Self::LowPrice => true,
            Self::Memory
            | Self::Cpus
            | Self::Processes
            | Self::Disk
            | Self::Scratch
            | Self::Timeout
            | Self::Run
            | Self::Reveal
            | Self::Bond => false,
        }
    }
}

/// Too few of the known nodes take on a job. More may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct TooFew {
    /// How many nodes the job may need: those of an audit's second wave too.
    pub needed: usize,
    /// How many known nodes may take it on.
    pub fitting: usize,
    /// How many known nodes run jobs.
    pub known: usize,
    /// How many known nodes run another platform than the job needs.
    #[serde(default)]
    pub elsewhere: usize,
    /// What the job asks for that no other known node allows. Empty if different nodes refuse different things.
    pub exceeded: Vec<Exceeded>,
}

impl Offer {
    /// The offer as one line of text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("an offer has string keys only, so that JSON can hold it")
    }

    /// Parses what a peer wrote; `None` if it is not an offer.
    pub fn parse(text: &str) -> Option<Self> {
        let offer: Self = serde_json::from_str(text).ok().filter(|_| text.len() <= MAX_OFFER_BYTES)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        let is_name = offer.platform.len() <= MAX_PLATFORM_BYTES && offer.platform.bytes().all(plain);
        (is_name && offer.slots > 0).then_some(offer)
    }

    /// Whether the node runs programs for the platform that a job needs, if it needs one.
    pub fn is_for(&self, platform: Option<&str>) -> bool {
        platform.is_none_or(|platform| runs_on(&self.platform, platform))
    }

    /// What a job asks for beyond this offer.
    pub fn exceeded<'a>(
        &'a self,
        asked: &'a Resources,
        deal: &'a Deal,
    ) -> impl Iterator<Item = Exceeded> + 'a {
        let most = &self.resources;
        let span = |span: Span| u128::from(span.as_secs());
        [
            (Limit::Memory, asked.memory_bytes.into(), most.memory_bytes.into()),
            (Limit::Cpus, asked.cpu_millis.into(), most.cpu_millis.into()),
            (Limit::Processes, asked.pids.into(), most.pids.into()),
            (Limit::Disk, asked.disk_bytes.into(), most.disk_bytes.into()),
            (Limit::Scratch, asked.scratch_bytes.into(), most.scratch_bytes.into()),
            (Limit::Timeout, span(deal.timeout), span(self.timeout)),
            (Limit::Run, span(deal.run), span(self.run.min(deal.longest_run()))),
            (Limit::Reveal, span(deal.reveal), span(self.reveal)),
            (Limit::Bond, deal.bond.units(), self.bond.units()),
        ]
        .into_iter()
        .map(|(limit, asked, most)| Exceeded { limit, asked, most })
        .filter(|exceeded| exceeded.asked > exceeded.most)
        .chain((deal.reveal < self.shortest_reveal).then(|| Exceeded {
            limit: Limit::ShortReveal,
            asked: span(deal.reveal),
            most: span(self.shortest_reveal),
        }))
        .chain((deal.price < self.price).then(|| Exceeded {
            limit: Limit::LowPrice,
            asked: deal.price.units(),
            most: self.price.units(),
        }))
    }
}

/// Whether too few known nodes take on a job. `silent` nodes have made no offer, so they may take it on.
pub fn too_few(offers: &[Offer], silent: usize, spec: &Spec, deal: &Deal) -> Option<TooFew> {
    let (here, others): (Vec<&Offer>, Vec<&Offer>) =
        offers.iter().partition(|offer| offer.is_for(spec.platform.as_deref()));
    let elsewhere = others.len();
    let refusing: Vec<Vec<Exceeded>> = here
        .into_iter()
        .map(|offer| offer.exceeded(&spec.resources, deal).collect::<Vec<_>>())
        .filter(|exceeded| !exceeded.is_empty())
        .collect();
    let known = offers.len() + silent;
    let fitting = known - refusing.len() - elsewhere;
    let needed = usize::from(deal.most_seats());
    // Too few nodes for the first wave, all of them willing, is another matter: submission fails.
    let is_told = !refusing.is_empty() || elsewhere > 0 || deal.audit.is_some();
    if fitting >= needed || !is_told {
        return None;
    }
    let of_all = |first: &Exceeded| {
        let same = refusing.iter().map(|other| other.iter().find(|other| other.limit == first.limit));
        let allowed = same.collect::<Option<Vec<_>>>()?.into_iter().map(|other| other.most);
        let most = if first.limit.is_least() { allowed.min() } else { allowed.max() };
        Some(Exceeded { most: most?, ..*first })
    };
    let exceeded = refusing.first().into_iter().flatten().filter_map(of_all).collect();
    Some(TooFew { needed, fitting, known, elsewhere, exceeded })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Audit, SecretHash},
        *,
    };

    fn offer() -> Offer {
        Offer {
            slots: 4,
            platform: "linux/amd64".to_owned(),
            resources: Resources { memory_bytes: 4 << 30, ..Resources::default() },
            timeout: Span::from_secs(3600),
            run: Span::from_secs(7200),
            shortest_reveal: Span::from_secs(60),
            reveal: Span::from_secs(600),
            bond: Amount::MAX,
            price: Amount::ZERO,
        }
    }

    fn asking(resources: Resources) -> Spec {
        Spec { resources, ..Spec::sample() }
    }

    fn deal() -> Deal {
        Deal { timeout: Span::from_secs(60), run: Span::from_secs(240), ..Deal::default() }
    }

    #[test]
    fn an_offer_reads_back_and_its_longest_form_fits() {
        assert_eq!(Offer::parse(&offer().to_text()), Some(offer()));
        let most = u64::MAX;
        let resources = Resources {
            memory_bytes: most,
            cpu_millis: u32::MAX,
            pids: u32::MAX,
            disk_bytes: most,
            tmp_bytes: most,
            scratch_bytes: most,
        };
        let longest = Span::from_secs(u32::MAX);
        let largest = Offer {
            slots: u32::MAX,
            platform: "x".repeat(MAX_PLATFORM_BYTES),
            resources,
            timeout: longest,
            run: longest,
            shortest_reveal: longest,
            reveal: longest,
            bond: Amount::MAX,
            price: Amount::MAX,
        };
        assert_eq!(Offer::parse(&largest.to_text()), Some(largest));
    }

    #[test]
    fn what_is_no_offer_says_nothing() {
        let escape = Offer { platform: "\u{1b}[2J".to_owned(), ..offer() };
        let long = Offer { platform: "x".repeat(MAX_PLATFORM_BYTES + 1), ..offer() };
        let padded = format!("{}{}", offer().to_text(), " ".repeat(MAX_OFFER_BYTES));
        let none = Offer { slots: 0, ..offer() };
        for text in ["", "{}", "[[[[", &escape.to_text(), &long.to_text(), &padded, &none.to_text()] {
            assert_eq!(Offer::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_job_that_enough_known_nodes_take_on_is_no_matter() {
        let asked = Resources::default();
        assert_eq!(too_few(&[offer(), offer(), offer()], 0, &asking(asked), &deal()), None);
        // A node without an offer may take it on. No node at all is a different problem.
        let large = Resources { memory_bytes: 8 << 30, ..asked };
        assert_eq!(too_few(&[offer()], 3, &asking(large), &deal()), None);
        assert_eq!(too_few(&[], 0, &asking(large), &deal()), None);
    }

    #[test]
    fn what_no_known_node_allows_is_named_with_the_most_that_one_does() {
        let larger =
            Offer { resources: Resources { memory_bytes: 6 << 30, ..Resources::default() }, ..offer() };
        let large = Resources { memory_bytes: 8 << 30, ..Resources::default() };
        let exceeded = Exceeded { limit: Limit::Memory, asked: 8 << 30, most: 6 << 30 };
        assert_eq!(
            too_few(&[offer(), larger], 1, &asking(large), &deal()),
            Some(TooFew { needed: 3, fitting: 1, known: 3, elsewhere: 0, exceeded: vec![exceeded] })
        );
        let short =
            Offer { shortest_reveal: Span::from_secs(7200), reveal: Span::from_secs(10_800), ..offer() };
        let least = Exceeded { limit: Limit::ShortReveal, asked: 60, most: 7200 };
        let offers = [short.clone(), Offer { shortest_reveal: Span::from_secs(9000), ..short }];
        let told = too_few(&offers, 0, &Spec::sample(), &deal()).unwrap();
        assert_eq!(told.exceeded, [least], "the least that any allows");

        let dear = |price| Offer { price: Amount::new(price).unwrap(), ..offer() };
        let told = too_few(&[dear(7), dear(5)], 0, &Spec::sample(), &deal()).unwrap();
        assert_eq!(told.exceeded, [Exceeded { limit: Limit::LowPrice, asked: 0, most: 5 }]);

        let long = Deal { reveal: Span::from_secs(601), ..deal() };
        let told = too_few(&[offer()], 0, &Spec::sample(), &long).unwrap();
        assert_eq!(told.exceeded, [Exceeded { limit: Limit::Reveal, asked: 601, most: 600 }]);
    }

    #[test]
    fn nodes_that_refuse_for_different_reasons_share_none() {
        let hasty = Offer { timeout: Span::from_secs(10), ..offer() };
        let small = Offer { resources: Resources { memory_bytes: 1, ..Resources::default() }, ..offer() };
        let told = too_few(&[hasty, small], 0, &Spec::sample(), &deal()).unwrap();
        assert_eq!(told, TooFew { needed: 3, fitting: 0, known: 2, elsewhere: 0, exceeded: Vec::new() });
    }

    #[test]
    fn a_job_for_another_platform_is_refused_by_all_that_run_this_one() {
        let arm = Offer { platform: "linux/arm64".to_owned(), ..offer() };
        let spec = |platform: &str| Spec { platform: Some(platform.to_owned()), ..Spec::sample() };
        let of = |platform| too_few(&[offer(), offer(), offer(), arm.clone()], 0, &spec(platform), &deal());
        assert_eq!(of("linux/amd64"), None);
        assert_eq!(of("linux/386"), None, "which amd64 runs too");
        let told = TooFew { needed: 3, fitting: 1, known: 4, elsewhere: 3, exceeded: Vec::new() };
        assert_eq!(of("linux/arm64"), Some(told));
    }

    #[test]
    fn a_job_with_an_audit_needs_nodes_for_both_waves() {
        let audit = Audit { permille: 100, seats: 2, secret_hash: SecretHash::new([1; 30]) };
        let audited = Deal { audit: Some(audit), ..deal() };
        let of = |nodes: usize| too_few(&vec![offer(); nodes], 0, &Spec::sample(), &audited);
        assert_eq!(of(5), None);
        assert_eq!(
            of(4),
            Some(TooFew { needed: 5, fitting: 4, known: 4, elsewhere: 0, exceeded: Vec::new() })
        );
        let hasty = Offer { timeout: Span::from_secs(10), ..offer() };
        let offers = [offer(), offer(), offer(), offer(), hasty];
        let exceeded = Exceeded { limit: Limit::Timeout, asked: 60, most: 10 };
        assert_eq!(
            too_few(&offers, 0, &Spec::sample(), &audited),
            Some(TooFew { needed: 5, fitting: 4, known: 5, elsewhere: 0, exceeded: vec![exceeded] })
        );
    }
}
