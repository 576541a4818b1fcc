//! Which user rule of ufw a rule of the kernel is.

use unrefuse_facts::{AddressJudgement, Decider, FilterRule, RuleOwner, UfwAction, UfwFacts};

/// Gives the rules of ufw's users, as far as a judgement names them, their numbers and comments.
pub(super) fn name_rules(judged: &mut AddressJudgement, ufw: &UfwFacts) {
    let AddressJudgement { egress, egress_reply, ingress, reply, later, .. } = judged;
    for judgement in [egress, egress_reply, ingress, reply, later].into_iter().flatten() {
        let decider = judgement.decided_by.as_mut().and_then(|decider| match decider {
            Decider::Rule(rule) => Some(rule),
            _ => None,
        });
        let rules = decider.into_iter().chain(&mut judgement.accepted_by).chain(&mut judgement.later_accept);
        rules.for_each(|rule| name_rule(rule, ufw));
    }
}

fn name_rule(rule: &mut FilterRule, ufw: &UfwFacts) {
    let RuleOwner::Ufw { rule: number } = &mut rule.owner else { return };
    let placed = |one: &&unrefuse_facts::UfwPlaced| one.chain == rule.place.chain && one.position == rule.number;
    let Some(placed) = ufw.placed.iter().find(placed) else { return };
    // Forwarding rules have a number, and nothing else is known of them. Of the others the action must fit: where somebody
    // changed the kernel's chain, numbers no longer meet.
    let known = ufw.rules.iter().find(|other| other.number == placed.number);
    let fits = known.is_none_or(|known| match known.action {
        UfwAction::Deny => rule.text.contains("-j DROP"),
        UfwAction::Reject => rule.text.contains("-j REJECT"),
        UfwAction::Allow => rule.text.contains("-j ACCEPT"),
        UfwAction::Limit => rule.text.contains("ufw-user-limit") || rule.text.contains("ufw6-user-limit"),
    });
    if fits {
        *number = Some(placed.number);
        rule.comment = rule.comment.take().or_else(|| known?.comment.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrefuse_facts::{ChainPlace, FilterBackend, FilterHook, TableFamily};

    fn named(number: u32, text: &str) -> (RuleOwner, Option<String>) {
        const FILE: &[u8] = b"### tuple ### allow tcp 22 0.0.0.0/0 any 10.0.0.0/8 in\n\
            -A ufw-user-input -p tcp --dport 22 -s 10.0.0.0/8 -j ACCEPT\n\n\
            ### tuple ### deny_log tcp 80 0.0.0.0/0 any 0.0.0.0/0 in comment=6e6f20776562\n\
            -A ufw-user-logging-input -p tcp --dport 80 -j LOG\n\
            -A ufw-user-input -p tcp --dport 80 -j ufw-user-logging-input\n\
            -A ufw-user-input -p tcp --dport 80 -j DROP\n\n\
            ### END RULES ###\n-A ufw-user-limit -j REJECT\n";
        let ufw = UfwFacts {
            rules: unrefuse_parse::ufw::user_rules(FILE, b""),
            placed: unrefuse_parse::ufw::placed(FILE, b""),
            ..UfwFacts::default()
        };
        let mut rule = FilterRule {
            place: ChainPlace {
                family: TableFamily::Ip,
                table: "filter".into(),
                backend: FilterBackend::IptablesNft,
                chain: "ufw-user-input".into(),
                hook: FilterHook::Input,
                priority: Some(0),
            },
            number,
            handle: None,
            line: None,
            text: text.into(),
            comment: None,
            counters: None,
            owner: RuleOwner::Ufw { rule: None },
            set: None,
        };
        name_rule(&mut rule, &ufw);
        (rule.owner, rule.comment)
    }

    #[test]
    fn a_rule_of_the_kernel_has_its_users_number_and_comment() {
        assert_eq!(named(1, "-A ufw-user-input -j ACCEPT"), (RuleOwner::Ufw { rule: Some(1) }, None));
        let deny = "-A ufw-user-input -p tcp -m tcp --dport 80 -j DROP";
        assert_eq!(named(3, deny), (RuleOwner::Ufw { rule: Some(2) }, Some("no web".into())));
    }

    #[test]
    fn where_the_chain_was_changed_no_number_is_given() {
        assert_eq!(named(1, "-A ufw-user-input -j DROP"), (RuleOwner::Ufw { rule: None }, None));
        assert_eq!(named(4, "-A ufw-user-input -j DROP"), (RuleOwner::Ufw { rule: None }, None));
    }
}
