"""What a unit's processes may not do: the lines of systemd.exec(5) that all our units share."""


def sandbox(*, write_execute: bool, own_users: bool, umask: str) -> list[str]:
    """`write_execute`: the program compiles while it runs, as LuaJIT does, and needs memory that is
    first written and then executed. `own_users`: it neither needs a capability nor shares files
    with other units' users, and gets a user namespace of its own."""
    return [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "DevicePolicy=closed",
        f"PrivateUsers={'yes' if own_users else 'no'}",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "# Other users' processes are hidden; /proc/stat, which tells the machine's load, is not.",
        "ProtectProc=invisible",
        "ProcSubset=all",
        "LockPersonality=yes",
        f"MemoryDenyWriteExecute={'no' if write_execute else 'yes'}",
        "RemoveIPC=yes",
        "KeyringMode=private",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "# @resources stays: decoders limit their own memory and processor time.",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged",
        "# No process reaches into another; decoders may give up more.",
        "SystemCallFilter=~ptrace process_vm_readv process_vm_writev pidfd_getfd",
        "SystemCallFilter=seccomp",
        "SystemCallErrorNumber=EPERM",
        f"UMask={umask}",
        "LimitNOFILE=65536",
        "LimitCORE=0",
    ]
