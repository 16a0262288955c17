# Runs in the virtual machine, in the file system of the machine outside: makes its devices ready, runs
# the tests and tells how they ended.
export PATH=/usr/sbin:/usr/bin HOME=/home TERM=dumb
exec </dev/hvc0 >/dev/hvc0 2>&1
busybox stty raw -echo
uptime() { read -r seconds _ </proc/uptime && echo "${seconds} s"; }
echo "lab: the kernel is up after $(uptime)"

mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm /run/udev
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t configfs config /sys/kernel/config
busybox ifconfig lo 127.0.0.1 up
busybox hostname lab

# Chromium's own devices are opened by Chromium's user.
mkdir -p /run/udev/rules.d
echo 'SUBSYSTEM=="tty|hidraw", MODE="0666"' >/run/udev/rules.d/99-lab.rules
/usr/lib/systemd/systemd-udevd --daemon 2>/dev/null
for subsystem in usb tty hid hidraw misc virtio-ports; do matches+=("--subsystem-match=$subsystem"); done
udevadm trigger --action=add "${matches[@]}"
udevadm settle
echo "lab: the devices are ready after $(uptime)"

cd /lab
if grep -q lab=shell /proc/cmdline; then
	busybox stty sane
	TERM=linux setsid --ctty bash --norc -i
	status=$?
else
	bash /lab/tests.sh
	status=$?
fi
echo "lab: ended after $(uptime)"
echo "$status" >/dev/virtio-ports/lab.exit
sync
echo o >/proc/sysrq-trigger
sleep 60
