use super::*;
use unrefuse_facts::{ContainerPort, Transport};

/// Docker 20.10, shortened.
const DOCKER: &str = r#"{"Id":"ID","Created":"2026-11-22T21:40:51.553011817Z","Path":"httpd","Args":["-f","-p","80"],
"State":{"Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":7312,
"ExitCode":0,"Error":"","StartedAt":"2026-11-22T21:40:51.870751135Z","FinishedAt":"0001-01-01T00:00:00Z"},
"Image":"sha256:ID","Name":"/web","RestartCount":2,
"HostConfig":{"Binds":["/tmp/x:/data:ro"],"LogConfig":{"Type":"json-file","Config":{}},"NetworkMode":"default",
"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8001"}]},"RestartPolicy":{"Name":"unless-stopped","MaximumRetryCount":0},
"CapAdd":null,"CgroupnsMode":"host","Dns":[],"IpcMode":"private","ShmSize":67108864,"Runtime":"runc","ConsoleSize":[0,0],
"NanoCpus":1500000000,"BlkioWeightDevice":[],"CpuCount":0,"MaskedPaths":["/proc/asound"],"PidsLimit":null},
"Mounts":[{"Type":"bind","Source":"/tmp/x","Destination":"/data"},
{"Type":"volume","Name":"4f00","Source":"/var/lib/docker/volumes/4f00/_data","Destination":"/var/lib/db"}],
"Config":{"Hostname":"6dd26d60c3b2","User":"","ExposedPorts":{"80/tcp":{},"9/sctp":{}},"Tty":false,
"Env":["DB_PASSWORD=geheim","FOO=bar"],"Cmd":["httpd","-f","-p","80"],"Image":"tiny","WorkingDir":"","Entrypoint":null,
"Labels":{"com.docker.compose.project":"proj","com.docker.compose.service":"web",
"com.docker.compose.project.working_dir":"/srv/proj",
"com.docker.compose.project.config_files":"/srv/proj/docker-compose.yml,override.yml"}},
"NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8001"},{"HostIp":"::","HostPort":"8001"}]},
"Networks":{"bridge":{"IPAMConfig":null,"Aliases":null,"Gateway":"172.30.0.1","IPAddress":"172.30.0.2",
"IPv6Gateway":"","GlobalIPv6Address":""}}}}"#;

/// Podman 4.3: a container that could not be started, in the namespace of another.
const PODMAN: &str = r#"{"Id":"ID","Path":"httpd","Args":["httpd"],"State":{"Status":"created","Running":false,"Pid":0,
"ExitCode":0,"Error":"","StartedAt":"0001-01-01T00:00:00Z","FinishedAt":"0001-01-01T00:00:00Z",
"Health":{"Status":"","FailingStreak":0,"Log":null}},"Name":"/made","RestartCount":0,
"HostConfig":{"Binds":[],"NetworkMode":"container:ID","PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8101"}]},
"RestartPolicy":{"Name":"","MaximumRetryCount":0},"Runtime":"oci","IpcMode":"shareable","PidMode":"private",
"PidsLimit":2048,"Ulimits":[{"Name":"RLIMIT_NOFILE","Hard":1,"Soft":1}],"MaskedPaths":null},"Mounts":[],
"Config":{"Hostname":"6dd26d60c3b2","Env":["A=b","PATH=/bin","container=podman","HOSTNAME=x"],"Cmd":["httpd"],
"Image":"localhost/tiny:latest","Entrypoint":[],"Labels":{},"WorkingDir":"/","StopSignal":"15"},
"NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"","HostPort":"8101"}]},"Networks":{"podman":{"IPAddress":"10.88.0.2",
"Aliases":["6dd26d60c3b2"]}}}}"#;

fn id() -> String {
    "6dd26d60c3b200f5f9303773a0b2479220dfa237200c9aa1380906098465ce31".to_owned()
}

fn read(json: &str, image: &str) -> Container {
    let image = super::image(image.as_bytes());
    let inspected = Inspected::read(json.replace("ID", &id()).as_bytes()).unwrap();
    let mut container = inspected.container().unwrap();
    container.recipe = inspected.recipe(&container, image.as_ref());
    container
}

#[test]
fn a_running_container_of_docker() {
    let web = read(DOCKER, r#"{"Config":{"Env":["FOO=bar"],"Cmd":["sh"]}}"#);
    assert_eq!((web.id.as_str(), web.name.as_str(), web.image.as_str()), (id().as_str(), "web", "tiny"));
    assert_eq!((web.status, web.pid, web.restarts), (ContainerStatus::Running, Some(7312), 2));
    assert_eq!((web.started_ms, web.exit, web.error, web.health), (Some(1_795_383_651_870), None, None, None));
    assert_eq!(web.restart_policy.as_deref(), Some("unless-stopped"));
    let port = ContainerPort { port: 80, transport: Transport::Tcp };
    assert_eq!(web.exposed, [port]);
    assert_eq!((web.published.len(), web.published[0].host_address, web.published[0].host_port), (1, None, Some(8001)));
    assert_eq!(web.bound.len(), 2);
    assert_eq!(web.networks[0].addresses, ["172.30.0.2".parse::<std::net::IpAddr>().unwrap()]);
    let compose = web.compose.unwrap();
    assert_eq!(compose.files, ["/srv/proj/docker-compose.yml", "/srv/proj/override.yml"]);
}

#[test]
fn the_recipe_has_no_values_of_the_environment() {
    let web = read(DOCKER, r#"{"Config":{"Env":["FOO=bar"],"Cmd":["sh"]}}"#);
    assert!(!format!("{web:?}").contains("geheim"));
    assert_eq!(web.recipe.environment, ["DB_PASSWORD"]);
    assert_eq!(web.recipe.command, ["httpd", "-f", "-p", "80"]);
    let line = web.recipe.arguments.join(" ");
    for part in ["--volume /tmp/x:/data:ro", "--volume 4f00:/var/lib/db", "--restart unless-stopped", "--cpus 1.5"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(web.recipe.incomplete.is_empty(), "{:?}", web.recipe.incomplete);
    // What the image sets is not repeated.
    let same = read(DOCKER, r#"{"Config":{"Env":["FOO=bar","DB_PASSWORD=geheim"],"Cmd":["httpd","-f","-p","80"]}}"#);
    assert!(same.recipe.environment.is_empty() && same.recipe.command.is_empty());
}

#[test]
fn settings_that_a_line_cannot_carry_are_named() {
    let odd = DOCKER
        .replace("\"CpuCount\":0", "\"CpuCount\":2,\"DeviceRequests\":[{\"Count\":-1}]")
        .replace("\"-f\",\"-p\",\"80\"],\"Image\":\"tiny\"", "\"--password\",\"geheim\"],\"Image\":\"tiny\"")
        .replace("\"Entrypoint\":null", "\"Entrypoint\":[\"/init\",\"-g\"],\"Healthcheck\":{\"Test\":[\"NONE\"]}");
    let recipe = read(&odd, "{}").recipe;
    assert_eq!(recipe.command, ["-g", "httpd", "--password", "***"]);
    assert!(recipe.arguments.join(" ").contains("--entrypoint /init"));
    for part in ["CpuCount", "DeviceRequests", "health check", "a secret among its arguments"] {
        assert!(recipe.incomplete.iter().any(|name| name == part), "{part}: {:?}", recipe.incomplete);
    }
}

#[test]
fn a_container_of_podman_in_anothers_namespace() {
    let made = read(PODMAN, "{}");
    assert_eq!((made.status, made.pid, made.started_ms, made.exit), (ContainerStatus::Created, None, None, None));
    assert_eq!(made.command, ["httpd"]);
    assert_eq!(made.network_mode, NetworkMode::Container(id()));
    assert!(made.published.is_empty() && made.bound.is_empty() && made.networks.is_empty());
    assert_eq!((made.health, made.restart_policy.as_deref(), made.compose), (None, Some("no"), None));
    assert_eq!(made.recipe.environment, ["A"]);
    assert_eq!(made.recipe.arguments, ["--network".to_owned(), format!("container:{}", id())]);
    assert!(made.recipe.incomplete.is_empty(), "{:?}", made.recipe.incomplete);
}

#[test]
fn how_it_ended() {
    let ended =
        DOCKER.replace("\"Status\":\"running\"", "\"Status\":\"exited\"").replace("\"ExitCode\":0", "\"ExitCode\":137");
    let ended = ended
        .replace("\"OOMKilled\":false", "\"OOMKilled\":true")
        .replace("\"Error\":\"\"", "\"Error\":\"OCI runtime: x\"");
    let ended = ended.replace("0001-01-01T00:00:00Z", "2026-11-22T22:40:52.5+01:00");
    let ended = read(&ended, "{}");
    let exit = ended.exit.unwrap();
    assert_eq!((exit.code, exit.out_of_memory, exit.at_ms), (137, true, Some(1_795_383_652_500)));
    assert_eq!(ended.error.as_deref(), Some("OCI runtime: x"));
    assert!(ended.bound.is_empty() && ended.networks[0].addresses.is_empty());
    assert_eq!(ended.published.len(), 1);
}

#[test]
fn what_is_no_container() {
    for json in ["", "{}", "[]", r#"{"Id":7}"#, r#"{"Id":"../x"}"#] {
        assert_eq!(Inspected::read(json.as_bytes()).and_then(|inspected| inspected.container()), None, "{json}");
    }
    let bare = format!(r#"{{"Id":"{}","State":7,"HostConfig":[],"Config":"x"}}"#, id());
    let bare = Inspected::read(bare.as_bytes()).and_then(|inspected| inspected.container());
    assert_eq!(bare.unwrap().status, ContainerStatus::Unknown);
}
