# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_unrefuse_global_optspecs
    string join \n 4 6 udp timeout= deadline= count= from= netns= container= json format= v/verbose q/quiet color= h/help V/version
end

function __fish_unrefuse_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_unrefuse_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_unrefuse_using_subcommand
    set -l cmd (__fish_unrefuse_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c unrefuse -n "__fish_unrefuse_needs_command" -l timeout -d 'How long one attempt may take' -r
complete -c unrefuse -n "__fish_unrefuse_needs_command" -l deadline -d 'How long everything may take' -r
complete -c unrefuse -n "__fish_unrefuse_needs_command" -l count -d 'Attempts to each address, to find what fails now and then' -r
complete -c unrefuse -n "__fish_unrefuse_needs_command" -l from -d 'Judge the way in for that client, from the server\'s side, without connecting: TARGET is this machine' -r
complete -c unrefuse -n "__fish_unrefuse_needs_command" -l netns -d 'Stand in another network namespace: a name of `ip netns`, or a process id' -r
complete -c unrefuse -n "__fish_unrefuse_needs_command" -l container -d 'Stand in a running container of Docker or Podman, by its name or id: names, routes and localhost are its own' -r
complete -c unrefuse -n "__fish_unrefuse_needs_command" -l format -d 'Form of the report' -r -f -a "text\t'For people'
json\t'For programs: see `unrefuse schema`'"
complete -c unrefuse -n "__fish_unrefuse_needs_command" -l color -d 'Colours' -r -f -a "auto\t'On terminals, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c unrefuse -n "__fish_unrefuse_needs_command" -s 4 -d 'Use IPv4 only'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -s 6 -d 'Use IPv6 only'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -l udp -d 'UDP instead of TCP'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -l json -d 'Print the JSON report (short for --format json)'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -s v -l verbose -d 'All gates, attempts and evidence'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -s q -l quiet -d 'The verdict line only'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -s V -l version -d 'Print version'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -a "check" -d 'Diagnose a target: the explicit form of the bare call'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -a "listeners" -d 'Every listening socket: who, where, reachable from where'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -a "who" -d 'Who holds a port, in this and other network namespaces'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -a "firewall" -d 'The way of one packet through the packet filters, of this machine or of files'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -a "explain" -d 'Explain a cause or an error\'s message, list all causes, or search them by word'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -a "schema" -d 'Print the JSON schema of a report'
complete -c unrefuse -n "__fish_unrefuse_needs_command" -a "completions" -d 'Print the completion script for a shell'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l timeout -d 'How long one attempt may take' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l deadline -d 'How long everything may take' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l count -d 'Attempts to each address, to find what fails now and then' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l from -d 'Judge the way in for that client, from the server\'s side, without connecting: TARGET is this machine' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l netns -d 'Stand in another network namespace: a name of `ip netns`, or a process id' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l container -d 'Stand in a running container of Docker or Podman, by its name or id: names, routes and localhost are its own' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l format -d 'Form of the report' -r -f -a "text\t'For people'
json\t'For programs: see `unrefuse schema`'"
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l color -d 'Colours' -r -f -a "auto\t'On terminals, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -s 4 -d 'Use IPv4 only'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -s 6 -d 'Use IPv6 only'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l udp -d 'UDP instead of TCP'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -l json -d 'Print the JSON report (short for --format json)'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -s v -l verbose -d 'All gates, attempts and evidence'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -s q -l quiet -d 'The verdict line only'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand listeners" -l netns -d 'Stand in another network namespace: a name of `ip netns`, or a process id' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand listeners" -l color -d 'Colours' -r -f -a "auto\t'On terminals, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c unrefuse -n "__fish_unrefuse_using_subcommand listeners" -l tcp -d 'TCP only'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand listeners" -l udp -d 'UDP only'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand listeners" -s a -l all -d 'Also those of the machine\'s other network namespaces (containers)'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand listeners" -l json -d 'Print JSON'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand listeners" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand who" -l netns -d 'Stand in another network namespace: a name of `ip netns`, or a process id' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand who" -l color -d 'Colours' -r -f -a "auto\t'On terminals, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c unrefuse -n "__fish_unrefuse_using_subcommand who" -l json -d 'Print JSON'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand who" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l from -d 'The client; without it the packet is sent by this machine itself' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l to -d 'Where to: host:port, [v6]:port, or :port of this machine' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l iface -d 'The interface that the packet arrives by [default: the one that leads back to the client]; with --rules and without --from, that it leaves by' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l sport -d 'The client\'s port [default: one that clients choose, 32768 or higher]' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l rules -d 'Rules of another machine: files of iptables-save, ip6tables-save, `ipset save`, `nft list ruleset` (or what `nft -f` loads) and `nft -j list ruleset`; - is standard input' -r -F
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l address -d 'With --rules: an address of that machine, may be repeated [default: --to is one of it]' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l netns -d 'Stand in another network namespace: a name of `ip netns`, or a process id' -r
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l color -d 'Colours' -r -f -a "auto\t'On terminals, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l udp -d 'UDP instead of TCP'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -l json -d 'Print JSON'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -s v -l verbose -d 'Every rule that matched, also those that did nothing'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand firewall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand explain" -l color -d 'Colours' -r -f -a "auto\t'On terminals, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c unrefuse -n "__fish_unrefuse_using_subcommand explain" -l markdown -d 'Print the pages as Markdown'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unrefuse -n "__fish_unrefuse_using_subcommand completions" -s h -l help -d 'Print help'
