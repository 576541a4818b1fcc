
use builtin;
use str;

set edit:completion:arg-completer[unrefuse] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'unrefuse'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'unrefuse'= {
            cand --timeout 'How long one attempt may take'
            cand --deadline 'How long everything may take'
            cand --count 'Attempts to each address, to find what fails now and then'
            cand --from 'Judge the way in for that client, from the server''s side, without connecting: TARGET is this machine'
            cand --netns 'Stand in another network namespace: a name of `ip netns`, or a process id'
            cand --container 'Stand in a running container of Docker or Podman, by its name or id: names, routes and localhost are its own'
            cand --format 'Form of the report'
            cand --color 'Colours'
            cand -4 'Use IPv4 only'
            cand -6 'Use IPv6 only'
            cand --udp 'UDP instead of TCP'
            cand --json 'Print the JSON report (short for --format json)'
            cand -v 'All gates, attempts and evidence'
            cand --verbose 'All gates, attempts and evidence'
            cand -q 'The verdict line only'
            cand --quiet 'The verdict line only'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand check 'Diagnose a target: the explicit form of the bare call'
            cand listeners 'Every listening socket: who, where, reachable from where'
            cand who 'Who holds a port, in this and other network namespaces'
            cand firewall 'The way of one packet through the packet filters, of this machine or of files'
            cand explain 'Explain a cause or an error''s message, list all causes, or search them by word'
            cand schema 'Print the JSON schema of a report'
            cand completions 'Print the completion script for a shell'
        }
        &'unrefuse;check'= {
            cand --timeout 'How long one attempt may take'
            cand --deadline 'How long everything may take'
            cand --count 'Attempts to each address, to find what fails now and then'
            cand --from 'Judge the way in for that client, from the server''s side, without connecting: TARGET is this machine'
            cand --netns 'Stand in another network namespace: a name of `ip netns`, or a process id'
            cand --container 'Stand in a running container of Docker or Podman, by its name or id: names, routes and localhost are its own'
            cand --format 'Form of the report'
            cand --color 'Colours'
            cand -4 'Use IPv4 only'
            cand -6 'Use IPv6 only'
            cand --udp 'UDP instead of TCP'
            cand --json 'Print the JSON report (short for --format json)'
            cand -v 'All gates, attempts and evidence'
            cand --verbose 'All gates, attempts and evidence'
            cand -q 'The verdict line only'
            cand --quiet 'The verdict line only'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'unrefuse;listeners'= {
            cand --netns 'Stand in another network namespace: a name of `ip netns`, or a process id'
            cand --color 'Colours'
            cand --tcp 'TCP only'
            cand --udp 'UDP only'
            cand -a 'Also those of the machine''s other network namespaces (containers)'
            cand --all 'Also those of the machine''s other network namespaces (containers)'
            cand --json 'Print JSON'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'unrefuse;who'= {
            cand --netns 'Stand in another network namespace: a name of `ip netns`, or a process id'
            cand --color 'Colours'
            cand --json 'Print JSON'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'unrefuse;firewall'= {
            cand --from 'The client; without it the packet is sent by this machine itself'
            cand --to 'Where to: host:port, [v6]:port, or :port of this machine'
            cand --iface 'The interface that the packet arrives by [default: the one that leads back to the client]; with --rules and without --from, that it leaves by'
            cand --sport 'The client''s port [default: one that clients choose, 32768 or higher]'
            cand --rules 'Rules of another machine: files of iptables-save, ip6tables-save, `ipset save`, `nft list ruleset` (or what `nft -f` loads) and `nft -j list ruleset`; - is standard input'
            cand --address 'With --rules: an address of that machine, may be repeated [default: --to is one of it]'
            cand --netns 'Stand in another network namespace: a name of `ip netns`, or a process id'
            cand --color 'Colours'
            cand --udp 'UDP instead of TCP'
            cand --json 'Print JSON'
            cand -v 'Every rule that matched, also those that did nothing'
            cand --verbose 'Every rule that matched, also those that did nothing'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'unrefuse;explain'= {
            cand --color 'Colours'
            cand --markdown 'Print the pages as Markdown'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'unrefuse;schema'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'unrefuse;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}
