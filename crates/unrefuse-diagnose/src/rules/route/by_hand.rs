//! Neighbour entries that were set by hand: the kernel never asks for them, and they stay when they become wrong.

use crate::View;
use crate::fix::quote;
use crate::report::{Evidence, Fix, Risk};
use unrefuse_facts::{Neighbour, NeighbourState, Observed, Routing, text};

/// A neighbour entry that was set by hand, and who answers for that address on the link.
pub(crate) struct ByHand<'a> {
    neighbour: &'a Neighbour,
    lladdr: &'a str,
    device: &'a str,
    claimants: &'a Observed<Vec<String>>,
}

impl<'a> ByHand<'a> {
    /// The entry of the next hop of that way.
    pub(crate) fn of(view: &View<'a>, way: &'a Routing) -> Option<Self> {
        let neighbour = way.neighbour.value().filter(|n| n.state == NeighbourState::Permanent)?;
        let link = view.case.host.link(neighbour.link).filter(|link| !link.loopback)?;
        let lladdr = neighbour.lladdr.as_deref()?;
        Some(Self { neighbour, lladdr, device: &link.name, claimants: &way.claimants })
    }

    /// Somebody answers for the address, and it is not the one whom the entry names.
    pub(crate) fn is_wrong(&self) -> bool {
        self.claimants.value().is_some_and(|all| !all.is_empty() && !all.iter().any(|mac| mac == self.lladdr))
    }

    /// It can be neither shown nor ruled out that it is wrong.
    pub(crate) fn is_open(&self) -> bool {
        self.claimants.value().is_none_or(Vec::is_empty)
    }

    /// `the neighbour entry of 10.1.0.9 on eth0, set by hand, is 02:00:00:00:00:01`.
    pub(crate) fn said(&self) -> String {
        let (address, device) = (self.neighbour.address, text::visible(self.device));
        format!("the neighbour entry of {address} on {device}, set by hand, is {}", text::visible(self.lladdr))
    }

    /// Why it is open whether it is right.
    pub(crate) fn unanswered(&self) -> String {
        match self.claimants.get() {
            Ok(_) => "nobody on the link answers for that address".to_owned(),
            Err(missing) => format!("the link was not asked: {}", text::visible(&missing.detail)),
        }
    }

    /// The entry, and who answers.
    pub(crate) fn evidence(&self) -> Vec<Evidence> {
        let mut evidence = vec![Evidence::new(self.said(), "RTM_GETNEIGH")];
        if let Observed::Known { value, source } = self.claimants {
            let who: Vec<String> = value.iter().map(|mac| text::visible(mac)).collect();
            let said = format!("{} answers for {}", who.join(" and "), self.neighbour.address);
            evidence.push(Evidence::new(said, &source.what));
        }
        evidence
    }

    /// Takes the entry out, so that the kernel asks.
    pub(crate) fn fixes(&self, view: &View<'_>) -> impl Iterator<Item = Fix> {
        let address = self.neighbour.address;
        let once = quote(self.device).zip(quote(self.lladdr)).map(|(device, mac)| {
            Fix::new(view, Risk::Low, format!("take the entry of {address} out, so that the kernel asks for it"))
                .command(format!("ip neigh del {address} dev {device}"))
                .undo(format!("ip neigh replace {address} lladdr {mac} dev {device} nud permanent"))
        });
        let title = "take it out of what sets it: /etc/ethers, the network configuration, a script";
        once.into_iter().chain([Fix::new(view, Risk::Low, title).persistent()])
    }
}
