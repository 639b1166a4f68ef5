"""Which container a control group is, by the names of runtimes: cgroup v1 and v2, systemd and cgroupfs drivers."""

import pytest

from timewait.system.containers import Container, chosen, container, shown

ID = "8953402928cc7fc95c7dc7bdb75b194139fe29e8fa196d7f90924deb29164366"
SHORT = "8953402928cc"
UID = "8e9a7fc0-4e11-4497-a424-19b9713eff0e"
UNIT = UID.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"  # a static pod: the hash of its file
KUBE = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"

PATHS = {
    # docker: cgroupfs, systemd, rootless
    f"/docker/{ID}": Container("docker", SHORT, ""),
    f"/system.slice/docker-{ID}.scope": Container("docker", SHORT, ""),
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope": Container("docker", SHORT, ""),
    f"/../../system.slice/docker-{ID}.scope": Container("docker", SHORT, ""),  # seen from another cgroup namespace
    # containerd under Kubernetes: systemd, cgroupfs, and systemd's names without its driver
    f"{KUBE}{UNIT}.slice/cri-containerd-{ID}.scope": Container("containerd", SHORT, UID),
    f"/kubepods/burstable/pod{UID}/{ID}": Container("container", SHORT, UID),
    f"/kubepods/pod{UID}/{ID}": Container("container", SHORT, UID),  # guaranteed: no class in between
    f"/kubepods.slice/kubepods-pod{UNIT}.slice/cri-containerd-{ID}.scope": Container("containerd", SHORT, UID),
    f"/system.slice/containerd.service/kubepods-besteffort-pod{UNIT}.slice:cri-containerd:{ID}": Container(
        "containerd", SHORT, UID
    ),
    f"{KUBE}{STATIC}.slice/cri-containerd-{ID}.scope": Container("containerd", SHORT, STATIC),
    f"{KUBE}{UNIT}.slice/docker-{ID}.scope": Container("docker", SHORT, UID),
    # CRI-O: systemd, cgroupfs, and the group below that crun makes
    f"{KUBE}{UNIT}.slice/crio-{ID}.scope": Container("cri-o", SHORT, UID),
    f"{KUBE}{UNIT}.slice/crio-{ID}.scope/container": Container("cri-o", SHORT, UID),
    f"/kubepods/besteffort/pod{UID}/crio-{ID}": Container("cri-o", SHORT, UID),
    # podman: rootful, rootless, in a pod, cgroupfs
    f"/machine.slice/libpod-{ID}.scope/container": Container("podman", SHORT, ""),
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope": Container("podman", SHORT, ""),
    f"/machine.slice/machine-libpod_pod_{ID}.slice/libpod-{ID}.scope": Container("podman", SHORT, ""),
    f"/libpod_parent/libpod-{ID}": Container("podman", SHORT, ""),
    # nested: Kubernetes in podman
    f"/machine.slice/libpod-{STATIC}.scope/container/kubelet.slice{KUBE}{UNIT}.slice/cri-containerd-{ID}.scope": (
        Container("containerd", SHORT, UID)
    ),
    # systemd-nspawn, machined, LXC
    "/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service": Container(
        "systemd-nspawn", "web", ""
    ),
    r"/machine.slice/machine-my\x2dbox.scope": Container("machine", "my-box", ""),
    "/lxc.payload.web/system.slice/nginx.service": Container("lxc", "web", ""),
    "/lxc/web": Container("lxc", "web", ""),
    # Amazon's: a task, then the container
    f"/ecs/{STATIC}/{ID}": Container("container", SHORT, ""),
}
NONE = (
    *("", "/", "/init.scope", "/system.slice/nginx.service", "/user.slice/user-1000.slice/session-3.scope"),
    *("/system.slice/docker.service", "/system.slice/containerd.service", "/kubepods.slice", "/lxc.monitor.web"),
    *(f"{KUBE}{UNIT}.slice/crio-conmon-{ID}.scope", f"/machine.slice/libpod-conmon-{ID}.scope", "/docker/buildx"),
)


@pytest.mark.parametrize("path", PATHS)
def test_a_container_is_known_by_its_control_group(path: str) -> None:
    assert container(path) == PATHS[path]


@pytest.mark.parametrize("path", NONE)
def test_a_service_or_a_monitor_is_no_container(path: str) -> None:
    assert container(path) is None


def test_what_is_shown_is_short_and_can_be_asked_for() -> None:
    assert shown(f"/docker/{ID}") == "docker 8953402928cc"
    assert shown(f"{KUBE}{UNIT}.slice/crio-{ID}.scope") == f"cri-o 8953402928cc, pod {UID}"
    assert shown("/system.slice/nginx.service") == "nginx.service"
    assert shown("/") == ""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"0::/system.slice/docker-{ID}.scope\n", f"/system.slice/docker-{ID}.scope"),
        # v1 beside an empty v2: its line names the service that started the container
        (f"9:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/containerd.service\n", f"/docker/{ID}"),
        (f"9:rdma:/\n8:memory:/docker/{ID}\n1:name=systemd:/system.slice/x.service\n", f"/docker/{ID}"),
        ("9:pids:/\n1:name=systemd:/system.slice/nginx.service\n0::/\n", "/system.slice/nginx.service"),
        ("9:pids:/user.slice\n1:name=systemd:/user.slice/session-3.scope\n", "/user.slice/session-3.scope"),
        ("2:memory:/a:b\n", "/a:b"),
        ("0::/\n", "/"),
        ("", ""),
        ("nonsense\n", ""),
    ],
)
def test_of_several_hierarchies_that_is_taken_which_says_most(text: str, path: str) -> None:
    assert chosen(text) == path
