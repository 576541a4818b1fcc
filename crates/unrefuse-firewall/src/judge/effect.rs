//! What statements that are no tests do.

use std::rc::Rc;

use crate::model::{Backend, Direction, Rule, Statement, Verdict};
use crate::packet::{Device, proto};

use super::path::{By, ChainCode, Exit, Happened, Parted, Path};
use super::run::{Here, Results, Run, decide, push_end};
use super::sets::Found;
use super::truth::{Truth, Why};

impl Run<'_, '_> {
    /// Carries out a statement that is no test. `Some`: the rule goes on.
    #[allow(clippy::too_many_arguments, reason = "the place in the ruleset, the packet, and where results go")]
    pub(crate) fn effect(
        &self,
        here: &Here,
        chain: &Rc<ChainCode>,
        by: &By,
        rule: &Rule,
        statement: &Statement,
        mut path: Box<Path>,
        to: &mut Results<'_>,
        at: usize,
        depth: usize,
    ) -> Option<Box<Path>> {
        let step = |what: String| Happened { hook: here.hook, by: by.clone(), what };
        match statement {
            Statement::If(_) | Statement::Note(_) => return Some(path),
            Statement::Verdict(verdict) => return self.verdict(here, by, verdict, path, to, at, depth),
            Statement::VerdictMap { key, set } => {
                let found = match self.key(here, &path.packet, key) {
                    Ok(bits) => self.find(here, set, &bits),
                    Err(Truth::Unknown(why)) => Found::Unknown(why),
                    Err(_) => {
                        to.ways.push((at + 1, path));
                        return None;
                    }
                };
                match found {
                    Found::None => return Some(path),
                    Found::One(element) => match element.verdict {
                        Some(verdict) => return self.verdict(here, by, &verdict, path, to, at, depth),
                        None => return Some(path),
                    },
                    Found::Several(list, why) => {
                        self.fork();
                        self.ignore(rule, &why);
                        let mut seen = Vec::new();
                        for verdict in list.into_iter().map(|e| e.and_then(|e| e.verdict)) {
                            if seen.contains(&verdict) {
                                continue;
                            }
                            let mut way = path.clone();
                            let side = seen.len() as u8;
                            way.parted.push(Parted {
                                hook: here.hook,
                                by: Some(by.clone()),
                                why: why.text.clone(),
                                side,
                            });
                            let verdict_here = verdict.clone().unwrap_or(Verdict::Continue);
                            seen.push(verdict);
                            if let Some(next) = self.verdict(here, by, &verdict_here, way, to, at, depth) {
                                to.ways.push((at + 1, next));
                            }
                        }
                        return None;
                    }
                    Found::Unknown(why) => {
                        self.ignore(rule, &why);
                        for (exit, way) in self.anything(here, path, Some(by), &why.text) {
                            to.end_or_next(exit, way, at);
                        }
                        return None;
                    }
                }
            }
            Statement::Set { target, value } => {
                let Some(what) = self.set(here, &mut path.packet, target, value) else {
                    path.way.push(step("continues".into()));
                    to.ways.push((at + 1, path));
                    return None;
                };
                path.way.push(step(what));
            }
            Statement::Notrack => {
                let kept = path.packet.attached && self.judge.ruleset.tables[here.table].backend != Backend::Nft;
                if path.packet.ct.is_none() && !kept {
                    path.packet.untracked = true;
                }
                path.way.push(step("notrack".into()));
            }
            Statement::Nat(nat) => {
                for (exit, way) in self.translate(here, by, nat, path) {
                    to.end_or_next(exit, way, at);
                }
                return None;
            }
            Statement::Reject(reject) => {
                path.way.push(step(format!("reject with {}", super::outcome::reject_text(*reject))));
                let kind = self.reject_for(here.hook, *reject, &path.packet);
                decide(here, &mut path, by);
                push_end(to.ends, kind.map_or(Exit::Drop, Exit::Reject), path);
                return None;
            }
            Statement::Tproxy { mark, port, .. } => {
                if let Some((value, mask)) = mark {
                    path.packet.mark = path.packet.mark.masked((!mask).into(), (*value).into());
                }
                // To a client's own socket, which is no proxy's, TPROXY gives nothing: iptables drops (tproxy_tg4), nft goes on
                // (nft_tproxy_eval_v4).
                let packet = &path.packet;
                let answers = packet.ct.as_ref().is_some_and(|ct| ct.direction == Direction::Reply);
                let reset = answers && packet.proto == proto::TCP && packet.iif == Device::Named("lo".into());
                let port = port.or_else(|| u16::try_from(packet.dport().exact()?).ok());
                let nobody = port.and_then(|port| self.judge.machine.listens(packet.proto, port)) == Some(false);
                if packet.receiver.is_some() || reset || nobody {
                    let what = if nobody { "no socket" } else { "a socket that is no proxy's" };
                    path.way.push(step(format!("tproxy finds {what}")));
                    if self.judge.ruleset.tables[here.table].backend == Backend::Nft {
                        to.ways.push((at + 1, path));
                    } else {
                        decide(here, &mut path, by);
                        push_end(to.ends, Exit::Drop, path);
                    }
                    return None;
                }
                self.assume(|| "the proxy that TPROXY hands to takes the packet".into());
                path.packet.proxied = true;
                path.way.push(step("tproxy".into()));
                decide(here, &mut path, by);
                push_end(to.ends, Exit::Accept, path);
                return None;
            }
            Statement::Fork(text) | Statement::Unknown(text) => {
                self.ignore(rule, &Why { text: text.clone(), ignored: true });
                for (exit, way) in self.anything(here, path, Some(by), text) {
                    to.end_or_next(exit, way, at);
                }
                let _ = chain;
                return None;
            }
        }
        Some(path)
    }

    #[allow(clippy::too_many_arguments, reason = "the place in the ruleset, the packet, and where results go")]
    fn verdict(
        &self,
        here: &Here,
        by: &By,
        verdict: &Verdict,
        mut path: Box<Path>,
        to: &mut Results<'_>,
        at: usize,
        depth: usize,
    ) -> Option<Box<Path>> {
        let mut step = |what: String| path.way.push(Happened { hook: here.hook, by: by.clone(), what });
        match verdict {
            Verdict::Continue => return Some(path),
            Verdict::Accept | Verdict::Drop => {
                step(if *verdict == Verdict::Accept { "accept".into() } else { "drop".into() });
                decide(here, &mut path, by);
                push_end(to.ends, if *verdict == Verdict::Accept { Exit::Accept } else { Exit::Drop }, path);
            }
            Verdict::Return => {
                step("return".into());
                push_end(to.ends, Exit::End, path);
            }
            Verdict::Jump(name) | Verdict::Goto(name) => {
                let jump = matches!(verdict, Verdict::Jump(_));
                step(format!("{} {name}", if jump { "jump" } else { "goto" }));
                let Some(target) = self.judge.chain(here.table, name).filter(|t| t.rules.is_some()) else {
                    for (exit, way) in self.anything(here, path, Some(by), &format!("chain {name} was not read")) {
                        to.end_or_next(exit, way, at);
                    }
                    return None;
                };
                for (exit, way) in self.walk(here, &target, path, depth + 1) {
                    if jump {
                        to.end_or_next(exit, way, at);
                    } else {
                        push_end(to.ends, exit, way);
                    }
                }
            }
            Verdict::Queue => {
                self.fork();
                for (side, exit) in [Exit::Accept, Exit::Drop].into_iter().enumerate() {
                    let mut way = path.clone();
                    let why = "a program in user space decides".to_owned();
                    way.parted.push(Parted { hook: here.hook, by: Some(by.clone()), why, side: side as u8 });
                    way.way.push(Happened { hook: here.hook, by: by.clone(), what: "queue".into() });
                    decide(here, &mut way, by);
                    push_end(to.ends, exit, way);
                }
            }
        }
        None
    }
}
