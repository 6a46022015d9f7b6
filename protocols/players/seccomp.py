"""A filter of system calls: what goes from Alice to Bob by the kernel, past files and processes.

Keyrings, hints on inodes, what lies in the caches of pages and names, the limits and priorities of
other processes: state that outlives Alice, and that neither namespaces nor Landlock keep apart. A
player installs the filter before it imports a plug-in; all that it starts inherits it. What is
refused gets an errno, as on a kernel that does not have it; nothing is killed. Light, like
``reaper``.

The filter is a program for the classic BPF machine (seccomp(2)): it sees the number of a call and
its arguments as words of 32 bits, but not what they point to. A call that hides what matters
behind a pointer is refused altogether.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator, Sequence

from .reaper import LINUX

# By machine: its column in the table below, and its AUDIT_ARCH.
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
# What is newer than the newest call that we have looked at is not there yet.
NEWEST = 469

_SECCOMP = (317, 277)
_MODE_FILTER, _SPEC_ALLOW = 1, 4
_LOAD, _JEQ, _JGT, _AND, _RETURN = 0x20, 0x15, 0x25, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_AT_NUMBER, _AT_ARCH, _AT_ARGUMENTS = 0, 4, 16
_ALL = 0xFFFFFFFF

# name: the number on x86_64, and on aarch64 (None: it has no such call)
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # the kernel's own stores
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "syslog": (103, 116), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "swapon": (167, 224), "swapoff": (168, 225), "sethostname": (170, 161),
    "setdomainname": (171, 162), "reboot": (169, 142), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    # what is in the caches of pages and of names, told without a clock
    "preadv2": (327, 286), "pwritev2": (328, 287), "io_setup": (206, 0), "io_submit": (209, 2),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "openat2": (437, 437), "mincore": (27, 232), "cachestat": (451, 451),
    "fadvise64": (221, 223),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # what is written on an inode, read-only mounts or not
    "fcntl": (72, 25), "ioctl": (16, 29), "fanotify_init": (300, 262), "file_setattr": (469, 469),
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "prlimit64": (302, 261), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # namespaces once more, and with them power
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "open_tree_attr": (467, 467),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "setns": (308, 268), "unshare": (272, 97), "clone": (56, 220),
    "clone3": (435, 435),
    # networks, which not all have namespaces
    "socket": (41, 198), "getsockopt": (55, 209), "setsockopt": (54, 208),
    # marks on files that are not the player's
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466), "truncate": (76, 45), "chmod": (90, None), "fchmod": (91, 52),
    "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "lchown": (94, None),
    "fchown": (93, 55), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88),
    # System V, and POSIX message queues
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "mq_unlink": (241, 181),
}  # fmt: skip

# There is a way round these, and who calls them takes it.
_ABSENT = ("clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register")

# A condition is (word, mask, value): word w is half w % 2 of argument w // 2, the low half first.
Condition = tuple[int, int, int]
_NEW_NAMESPACES = 0x7E020000
_NEW_TIME = 0x80
_AF_UNIX = 1
# ioctls go by the letter in their second byte: f and v, ext4 and all filesystems; X, XFS and what
# it gave to all; 0x94, btrfs and what it gave to all; T, terminals, which keep their settings.
_IOCTLS = (ord("f"), ord("v"), ord("X"), 0x94, ord("T"))
# Of terminals only asking (TCGETS, TIOCGPGRP, TIOCOUTQ, TIOCGWINSZ, TIOCGSID, TCGETS2); and what is
# said of any descriptor (FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, FIOASYNC, FIOQSIZE).
_SPARED_IOCTLS = (
    0x5401, 0x540F, 0x5411, 0x5413, 0x5429, 0x802C542A,
    0x541B, 0x5421, 0x5450, 0x5451, 0x5452, 0x5460,
)  # fmt: skip

# Calls that are allowed only where one of these lists of conditions holds.
_ALLOWED_IF: dict[str, tuple[tuple[Condition, ...], ...]] = {
    # of one's own; or only asking
    "prlimit64": (((0, _ALL, 0),), ((4, _ALL, 0), (5, _ALL, 0))),
    "setpriority": (((0, _ALL, 0), (2, _ALL, 0)),),
    "ioprio_set": (((0, _ALL, 1), (2, _ALL, 0)),),
    **dict.fromkeys(
        ("sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr",
         "migrate_pages", "move_pages"),
        (((0, _ALL, 0),),),
    ),
    # RWF_NOWAIT tells what is in the cache, and the other flags are hardly used
    "preadv2": (((10, _ALL, 0),),),
    "pwritev2": (((10, _ALL, 0),),),
    "unshare": (((0, _NEW_NAMESPACES | _NEW_TIME, 0),),),
    "clone": (((0, _NEW_NAMESPACES, 0),),),
    "socket": (((0, _ALL, _AF_UNIX),),),
}  # fmt: skip

# Calls that are refused where one of these conditions holds.
_REFUSED_IF: dict[str, tuple[Condition, ...]] = {
    "fcntl": ((2, _ALL, 1036), (2, _ALL, 1038)),  # F_SET_RW_HINT, F_SET_FILE_RW_HINT
    "fadvise64": ((6, _ALL, 4),),  # POSIX_FADV_DONTNEED
    # a descriptor of whoever made the other end, the harness say, by which lives would share it
    "getsockopt": ((4, _ALL, 77),),  # SO_PEERPIDFD
    "setsockopt": ((4, _ALL, 76),),  # SO_PASSPIDFD
    "ioctl": tuple((2, 0xFF00, letter << 8) for letter in _IOCTLS),
}
# And of these, calls that are allowed nevertheless.
_SPARED_IF: dict[str, tuple[Condition, ...]] = {
    "ioctl": tuple((2, _ALL, command) for command in _SPARED_IOCTLS),
}

# Under namespaces these reach nothing that is not private.
_OF_PROCESS = (
    "setxattr", "lsetxattr", "fsetxattr", "setxattrat",
    "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
    "truncate", "shmget", "msgget", "semget", "mq_open", "mq_unlink",
)  # fmt: skip
# As these, but shutil.copy, which is innocent, would fail: they succeed, and do nothing.
_WITHOUT_EFFECT = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat",
    "utime", "utimes", "futimesat", "utimensat",
)  # fmt: skip
# Where no times are named (an argument by the name of the file) the present one is meant. Who makes
# a file asks for that first, Path.touch say, and takes a success for a file that is there.
_TIMES = {"utime": 1, "utimes": 1, "futimesat": 2, "utimensat": 2}

Instruction = tuple[int, int, int, int]


def problem() -> str | None:
    """Return None if there is a filter for this machine, else why not."""
    if not LINUX:
        return "only Linux has filters of system calls"
    machine = os.uname().machine
    # An interpreter of 32 bits would make its calls by other numbers.
    if machine in MACHINES and struct.calcsize("P") == 8:
        return None
    known = " and ".join(MACHINES)
    return f"the filter of system calls is written for {known} (64 bits), and this is {machine}"


def restrict(*, own_mounts: bool) -> None:
    """Install the filter for this process and all it will start; it needs ``no_new_privs``.

    Args:
        own_mounts: under ``namespaces``, where what is not private cannot be written to. Without,
            marks on files are refused too, and so are System V and POSIX message queues.

    Raises:
        OSError: there is no filter for this machine, or the kernel refused it.
    """
    reason = problem()
    if reason is not None:
        raise OSError(errno.ENOSYS, reason)
    machine = os.uname().machine
    code = b"".join(struct.pack("=HBBI", *step) for step in program(machine, own_mounts=own_mounts))
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_of = struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    number = _SECCOMP[MACHINES[machine][0]]
    libc = ctypes.CDLL(None, use_errno=True)
    # Without SPEC_ALLOW older kernels slow down every process that has a filter.
    if libc.syscall(ctypes.c_long(number), _MODE_FILTER, _SPEC_ALLOW, filter_of) != 0:
        code_of = ctypes.get_errno()
        raise OSError(code_of, f"seccomp: {os.strerror(code_of)}")


def program(machine: str, *, own_mounts: bool) -> list[Instruction]:
    """Return the filter for a machine: (code, jump if true, jump if false, value) a step."""
    column, arch = MACHINES[machine]

    def blocks() -> Iterator[list[Instruction]]:
        yield [(_LOAD, 0, 0, _AT_ARCH), (_JEQ, 1, 0, arch), _refuse(errno.EPERM)]
        yield [(_LOAD, 0, 0, _AT_NUMBER), (_JGT, 0, 1, NEWEST), _refuse(errno.ENOSYS)]
        for name, numbers in NUMBERS.items():
            number = numbers[column]
            inside = _verdict(name, own_mounts)
            if number is not None and inside:
                yield [(_JEQ, 0, len(inside), number), *inside]
        yield [(_RETURN, 0, 0, _ALLOW)]

    return [step for block in blocks() for step in block]


def _verdict(name: str, own_mounts: bool) -> list[Instruction]:
    """Return the steps that decide on one call, ending in a return; none where it is allowed."""
    allow, refuse = (_RETURN, 0, 0, _ALLOW), _refuse(errno.EPERM)
    if name in _ALLOWED_IF:
        steps = [s for list_ in _ALLOWED_IF[name] for s in _where(list_, allow)]
        return [*steps, refuse]
    if name in _REFUSED_IF:
        spared = [s for one in _SPARED_IF.get(name, ()) for s in _where([one], allow)]
        steps = [s for condition in _REFUSED_IF[name] for s in _where([condition], refuse)]
        return [*spared, *steps, allow]
    if name in _ABSENT:
        return [_refuse(errno.ENOSYS)]
    if name in _WITHOUT_EFFECT:
        return [] if own_mounts else [*_present_time(name), _refuse(0)]
    if name in _OF_PROCESS and own_mounts:
        return []
    return [refuse]


def _present_time(name: str) -> list[Instruction]:
    """Return the steps that refuse to set the present time of a file that is named, not open."""
    if name not in _TIMES:
        return []
    times = _TIMES[name]
    null = [((2 * at, _ALL, 0), (2 * at + 1, _ALL, 0)) for at in (times - 1, times)]
    return [*_where(null[0], _refuse(0)), *_where(null[1], _refuse(errno.EPERM))]


def _where(conditions: Sequence[Condition], verdict: Instruction) -> list[Instruction]:
    """Return the steps that reach the verdict if all conditions hold, and else end behind it."""
    steps: list[Instruction] = [verdict]
    for word, mask, value in reversed(conditions):
        load = (_LOAD, 0, 0, _AT_ARGUMENTS + 4 * word)
        steps = [load, (_AND, 0, 0, mask), (_JEQ, 0, len(steps), value), *steps]
    return steps


def _refuse(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)
