
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'unrefuse' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'unrefuse'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'unrefuse' {
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'How long one attempt may take')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'How long everything may take')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Attempts to each address, to find what fails now and then')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Judge the way in for that client, from the server''s side, without connecting: TARGET is this machine')
            [CompletionResult]::new('--netns', '--netns', [CompletionResultType]::ParameterName, 'Stand in another network namespace: a name of `ip netns`, or a process id')
            [CompletionResult]::new('--container', '--container', [CompletionResultType]::ParameterName, 'Stand in a running container of Docker or Podman, by its name or id: names, routes and localhost are its own')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Form of the report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours')
            [CompletionResult]::new('-4', '-4', [CompletionResultType]::ParameterName, 'Use IPv4 only')
            [CompletionResult]::new('-6', '-6', [CompletionResultType]::ParameterName, 'Use IPv6 only')
            [CompletionResult]::new('--udp', '--udp', [CompletionResultType]::ParameterName, 'UDP instead of TCP')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print the JSON report (short for --format json)')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'All gates, attempts and evidence')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'All gates, attempts and evidence')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'The verdict line only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'The verdict line only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Diagnose a target: the explicit form of the bare call')
            [CompletionResult]::new('listeners', 'listeners', [CompletionResultType]::ParameterValue, 'Every listening socket: who, where, reachable from where')
            [CompletionResult]::new('who', 'who', [CompletionResultType]::ParameterValue, 'Who holds a port, in this and other network namespaces')
            [CompletionResult]::new('firewall', 'firewall', [CompletionResultType]::ParameterValue, 'The way of one packet through the packet filters, of this machine or of files')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain a cause or an error''s message, list all causes, or search them by word')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Print the JSON schema of a report')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script for a shell')
            break
        }
        'unrefuse;check' {
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'How long one attempt may take')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'How long everything may take')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Attempts to each address, to find what fails now and then')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Judge the way in for that client, from the server''s side, without connecting: TARGET is this machine')
            [CompletionResult]::new('--netns', '--netns', [CompletionResultType]::ParameterName, 'Stand in another network namespace: a name of `ip netns`, or a process id')
            [CompletionResult]::new('--container', '--container', [CompletionResultType]::ParameterName, 'Stand in a running container of Docker or Podman, by its name or id: names, routes and localhost are its own')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Form of the report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours')
            [CompletionResult]::new('-4', '-4', [CompletionResultType]::ParameterName, 'Use IPv4 only')
            [CompletionResult]::new('-6', '-6', [CompletionResultType]::ParameterName, 'Use IPv6 only')
            [CompletionResult]::new('--udp', '--udp', [CompletionResultType]::ParameterName, 'UDP instead of TCP')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print the JSON report (short for --format json)')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'All gates, attempts and evidence')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'All gates, attempts and evidence')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'The verdict line only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'The verdict line only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'unrefuse;listeners' {
            [CompletionResult]::new('--netns', '--netns', [CompletionResultType]::ParameterName, 'Stand in another network namespace: a name of `ip netns`, or a process id')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours')
            [CompletionResult]::new('--tcp', '--tcp', [CompletionResultType]::ParameterName, 'TCP only')
            [CompletionResult]::new('--udp', '--udp', [CompletionResultType]::ParameterName, 'UDP only')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Also those of the machine''s other network namespaces (containers)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Also those of the machine''s other network namespaces (containers)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'unrefuse;who' {
            [CompletionResult]::new('--netns', '--netns', [CompletionResultType]::ParameterName, 'Stand in another network namespace: a name of `ip netns`, or a process id')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'unrefuse;firewall' {
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'The client; without it the packet is sent by this machine itself')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Where to: host:port, [v6]:port, or :port of this machine')
            [CompletionResult]::new('--iface', '--iface', [CompletionResultType]::ParameterName, 'The interface that the packet arrives by [default: the one that leads back to the client]; with --rules and without --from, that it leaves by')
            [CompletionResult]::new('--sport', '--sport', [CompletionResultType]::ParameterName, 'The client''s port [default: one that clients choose, 32768 or higher]')
            [CompletionResult]::new('--rules', '--rules', [CompletionResultType]::ParameterName, 'Rules of another machine: files of iptables-save, ip6tables-save, `ipset save`, `nft list ruleset` (or what `nft -f` loads) and `nft -j list ruleset`; - is standard input')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'With --rules: an address of that machine, may be repeated [default: --to is one of it]')
            [CompletionResult]::new('--netns', '--netns', [CompletionResultType]::ParameterName, 'Stand in another network namespace: a name of `ip netns`, or a process id')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours')
            [CompletionResult]::new('--udp', '--udp', [CompletionResultType]::ParameterName, 'UDP instead of TCP')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Every rule that matched, also those that did nothing')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Every rule that matched, also those that did nothing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'unrefuse;explain' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours')
            [CompletionResult]::new('--markdown', '--markdown', [CompletionResultType]::ParameterName, 'Print the pages as Markdown')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'unrefuse;schema' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'unrefuse;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
