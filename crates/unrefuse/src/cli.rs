//! The arguments. Help, man page and completions are made from this one description.

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::time::Duration;

/// The call is wrong: exit status 2.
#[derive(Debug)]
pub(crate) struct WrongCall(pub(crate) String);

impl std::fmt::Display for WrongCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongCall {}

/// The command as clap sees it: for the man page, the completions and the docs.
pub fn command() -> clap::Command {
    Cli::command()
}

const AFTER_HELP: &str = "\
Examples:
  unrefuse                           localhost, port 80
  unrefuse db1:5432                  a host and a port
  unrefuse db1 postgresql            the same: two words, a service's name
  unrefuse :8080                     a port of this machine
  unrefuse https://example.org       a URL: the port is the scheme's
  unrefuse --udp 10.0.0.53:53        a UDP service
  unrefuse /run/mysqld/mysqld.sock   a unix socket
  unrefuse --count 20 api:443        is it intermittent?
  unrefuse --from 10.0.0.9 :5432     on the server: is that client let in?
  unrefuse --container web db:5432   from inside of a container
  unrefuse --json api:443 | jq -r '.blockers[].root'
  unrefuse explain no route to host  what is behind a program's message

A host that is not this one is seen from outside only. Where that does not tell, run unrefuse on it, too: with --from, as \
the client is seen from there.

Exit status: 0 it works; 1 blocked and at least one cause named; 2 the call is wrong; 3 blocked and no cause found; \
4 unrefuse itself failed.

Nothing on the machine is changed: the fixes are printed, not run. Run as root it sees more: the owners of all sockets, \
other network namespaces, the packets that answer.";

/// Why does this connection fail, and what exactly makes it work?
#[derive(Debug, Parser)]
#[command(
    name = "unrefuse",
    version,
    about = "Why does this connection fail, and what exactly makes it work?",
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    #[command(flatten)]
    pub(crate) check: CheckArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Diagnose a target: the explicit form of the bare call
    Check(CheckArgs),
    /// Every listening socket: who, where, reachable from where
    Listeners(ListenersArgs),
    /// Who holds a port, in this and other network namespaces
    Who(WhoArgs),
    /// The way of one packet through the packet filters, of this machine or of files
    Firewall(FirewallArgs),
    /// Explain a cause or an error's message, list all causes, or search them by word
    Explain(ExplainArgs),
    /// Print the JSON schema of a report
    Schema {
        /// Of which command's JSON
        #[arg(value_enum, default_value_t = Schema::Report)]
        of: Schema,
    },
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// A form of JSON that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Schema {
    /// A diagnosis
    Report,
    /// `unrefuse firewall`
    Firewall,
    /// `unrefuse listeners`
    Listeners,
    /// `unrefuse who`
    Who,
}

/// Arguments of a diagnosis.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// host, host:port, [v6]:port, :port (this machine), URL, or the path of a unix socket [default: localhost]
    pub(crate) target: Option<String>,
    /// Port or the name of its service, where the target does not say it [default: 80, or that of the URL's scheme]
    pub(crate) port: Option<String>,
    /// Use IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6')]
    pub(crate) ipv6: bool,
    /// UDP instead of TCP
    #[arg(long)]
    pub(crate) udp: bool,
    /// How long one attempt may take
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// How long everything may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) deadline: Duration,
    /// Attempts to each address, to find what fails now and then
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) count: u32,
    /// Judge the way in for that client, from the server's side, without connecting: TARGET is this machine
    #[arg(long, value_name = "ADDR[%IFACE]", conflicts_with = "count")]
    pub(crate) from: Option<Client>,
    /// Stand in another network namespace: a name of `ip netns`, or a process id
    #[arg(long, value_name = "NAME|PID")]
    pub(crate) netns: Option<String>,
    /// Stand in a running container of Docker or Podman, by its name or id: names, routes and localhost are its own
    #[arg(long, value_name = "NAME", conflicts_with_all = ["netns", "from"])]
    pub(crate) container: Option<String>,
    /// Print the JSON report (short for --format json)
    #[arg(long)]
    pub(crate) json: bool,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "json")]
    pub(crate) format: Format,
    /// All gates, attempts and evidence
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// The verdict line only
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) paint: Paint,
}

/// A client that is elsewhere: its address, and the interface its packets come in by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: std::net::IpAddr,
    pub(crate) interface: Option<String>,
}

impl std::str::FromStr for Client {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, interface) = text.split_once('%').map_or((text, None), |(a, i)| (a, Some(i)));
        let address: std::net::IpAddr =
            address.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| {
                format!("'{}' is no address: write 10.0.0.9, or 10.0.0.9%eth0", unrefuse_facts::text::visible(text))
            })?;
        let address = address.to_canonical();
        match interface {
            Some("") => Err("the interface after % is missing".to_owned()),
            interface => Ok(Self { address, interface: interface.map(str::to_owned) }),
        }
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{}%{interface}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// Form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: see `unrefuse schema`
    Json,
    /// Everything that was seen, as JSON, before any judgement: to replay a case
    #[value(hide = true)]
    Facts,
}

#[derive(Debug, Args)]
pub(crate) struct Paint {
    /// Colours
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On terminals, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Args)]
pub(crate) struct ListenersArgs {
    /// TCP only
    #[arg(long, conflicts_with = "udp")]
    pub(crate) tcp: bool,
    /// UDP only
    #[arg(long)]
    pub(crate) udp: bool,
    /// Also those of the machine's other network namespaces (containers)
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Stand in another network namespace: a name of `ip netns`, or a process id
    #[arg(long, value_name = "NAME|PID")]
    pub(crate) netns: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) paint: Paint,
}

#[derive(Debug, Args)]
pub(crate) struct WhoArgs {
    /// Port number or name of a service, with /tcp or /udp where only one is meant
    pub(crate) port: String,
    /// Stand in another network namespace: a name of `ip netns`, or a process id
    #[arg(long, value_name = "NAME|PID")]
    pub(crate) netns: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) paint: Paint,
}

const FIREWALL_HELP: &str = "\
Examples:
  unrefuse firewall --from 10.0.0.9 --to :5432              is that client let in here, and by which rule?
  unrefuse firewall --to 203.0.113.7:443                    may this machine connect there?
  unrefuse firewall --from fe80::9%eth0 --to [fe80::1]:22   by that interface
  iptables-save | unrefuse firewall --from 10.0.0.9 --to 10.0.0.5:22 --rules -
  nft -j list ruleset | unrefuse firewall --from 10.0.0.9 --to 10.0.0.5:22 --rules -
  unrefuse firewall --from 10.0.0.9 --to 10.0.0.5:22 --rules rules.v4 sets.ipset --address 10.0.0.5/24%eth0

No packet is sent: the rules are read and judged as the kernel would. What cannot be known beforehand (rate limits), and \
what is not understood, leaves the answer open instead of being guessed.

Exit status: 0 the packet gets through, and its answer back; 1 one of them is stopped; 2 the call is wrong; 3 that cannot \
be told; 4 unrefuse itself failed.";

#[derive(Debug, Args)]
#[command(after_help = FIREWALL_HELP)]
pub(crate) struct FirewallArgs {
    /// The client; without it the packet is sent by this machine itself
    #[arg(long, value_name = "ADDR[%IFACE]")]
    pub(crate) from: Option<String>,
    /// Where to: host:port, [v6]:port, or :port of this machine
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) to: String,
    /// UDP instead of TCP
    #[arg(long)]
    pub(crate) udp: bool,
    /// The interface that the packet arrives by [default: the one that leads back to the client]; with --rules and
    /// without --from, that it leaves by
    #[arg(long, value_name = "IFACE")]
    pub(crate) iface: Option<String>,
    /// The client's port [default: one that clients choose, 32768 or higher]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) sport: Option<u16>,
    /// Rules of another machine: files of iptables-save, ip6tables-save, `ipset save`, `nft list ruleset` (or what `nft
    /// -f` loads) and `nft -j list ruleset`; - is standard input
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = clap::ValueHint::FilePath, conflicts_with = "netns")]
    pub(crate) rules: Vec<String>,
    /// With --rules: an address of that machine, may be repeated [default: --to is one of it]
    #[arg(long, value_name = "ADDR[/LEN][%IFACE]", requires = "rules")]
    pub(crate) address: Vec<String>,
    /// Stand in another network namespace: a name of `ip netns`, or a process id
    #[arg(long, value_name = "NAME|PID")]
    pub(crate) netns: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Every rule that matched, also those that did nothing
    #[arg(short, long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) paint: Paint,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Id of a cause (listener/none), a program's message ("connection refused", ECONNREFUSED, 111), or words to search
    /// for; without: the list of all
    #[arg(num_args = 0.., value_parser = IdOrWord)]
    pub(crate) words: Vec<String>,
    /// Print the pages as Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    #[command(flatten)]
    pub(crate) paint: Paint,
}

/// Any word is taken; the ids are offered for completion.
#[derive(Debug, Clone)]
struct IdOrWord;

impl clap::builder::TypedValueParser for IdOrWord {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        clap::builder::StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = clap::builder::PossibleValue> + '_>> {
        let ids = crate::ids();
        let values: Vec<_> = ids.into_iter().map(|id| clap::builder::PossibleValue::new(id).hide(true)).collect();
        Some(Box::new(values.into_iter()))
    }
}

/// `3s`, `500ms`, `1m`, or a plain number of seconds; more than nothing and at most a day.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{}' is no time: write 3s, 500ms or 1m", unrefuse_facts::text::visible(text));
    let time = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?,
        Err(_) => humantime::parse_duration(text).map_err(|_| wrong())?,
    };
    match time {
        time if time.is_zero() => Err("a time of nothing lets nothing be tried: write 3s, 500ms or 1m".to_owned()),
        time if time > Duration::from_secs(86_400) => Err("longer than a day".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn times() {
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "soon", "", "NaN", "inf", "2days"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bare_target_and_the_explicit_form_are_the_same_call() {
        let bare = Cli::try_parse_from(["unrefuse", "db1", "5432", "--udp"]).unwrap();
        assert_eq!((bare.check.target.as_deref(), bare.check.port.as_deref()), (Some("db1"), Some("5432")));
        let Some(Action::Check(explicit)) = Cli::try_parse_from(["unrefuse", "check", "who:80"]).unwrap().action else {
            panic!("check is a subcommand");
        };
        assert_eq!(explicit.target.as_deref(), Some("who:80"));
    }
}
