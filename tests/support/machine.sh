# A machine that systemd boots: run by tests/support/machine.py as root, in a mount namespace of its own.
#
#   machine.sh DIRECTORY CGROUP
#
# Its root is this machine's, below a layer in memory, so nothing that it writes or cleans up is this machine's. What
# belongs to the kernel as a whole (/sys, /proc/sys but for the network) is read-only there.
set -eu
directory=$1

if [ $# -eq 2 ]; then
    # First as the caller's process: into a control group of its own, which becomes the root of what systemd sees.
    mount -t cgroup2 cgroup2 "$directory"
    mkdir "$directory/$2"
    echo $$ >"$directory/$2/cgroup.procs"
    umount "$directory"
    exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh "$0" "$directory"
fi

# Now as process 1.
mount -t tmpfs -o mode=755 tmpfs "$directory"
cd "$directory"
mkdir upper work root
mount -t overlay -o "lowerdir=/,upperdir=$directory/upper,workdir=$directory/work" overlay root
cd root

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
while read -r name major minor; do
    mknod -m 666 "dev/$name" c "$major" "$minor"
done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,gid=5,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

# None of the services that happen to be installed, and nothing that is for real hardware.
rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/rc?.d
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service systemd-sysctl.service \
    systemd-remount-fs.service systemd-logind.service systemd-binfmt.service systemd-pstore.service modprobe@.service \
    systemd-journald-audit.socket systemd-tmpfiles-clean.timer dev-hugepages.mount dev-mqueue.mount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    proc-sys-fs-binfmt_misc.automount getty.target; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done
: >etc/fstab
echo machine >etc/hostname

mkdir .host
pivot_root . .host
umount -l /.host
rmdir /.host
# With `container`, systemd leaves the kernel's own settings alone.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=gtunnel-tests \
    /lib/systemd/systemd --unit=multi-user.target --log-target=console --show-status=no
