#!/bin/busybox sh
# The first program of the virtual machine. It loads the kernel's modules, puts the machine's file
# system together and goes on there. With lab=probe it only says that the kernel works.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev

while read -r module parameters; do
	insmod "/modules/$module" $parameters || echo "init: $module does not load"
done </modules/order

port() { # the device of a port of the virtual serial bus, by name
	local directory
	for directory in /sys/class/virtio-ports/*; do
		if [ "$(cat "$directory/name" 2>/dev/null)" = "$1" ]; then echo "/dev/${directory##*/}"; fi
	done
}

if grep -q lab=probe /proc/cmdline; then
	echo works >"$(port lab.exit)"
	poweroff -f
fi

mount -t squashfs -o ro /dev/vda /root &&
	mount -t squashfs -o ro /dev/vdb /lab &&
	mount -t tmpfs -o size=60% tmpfs /changes &&
	mkdir /changes/new /changes/work &&
	mount -t overlay -o lowerdir=/root,upperdir=/changes/new,workdir=/changes/work overlay /machine || poweroff -f
for directory in bin sbin lib lib64; do ln -s "usr/$directory" "/machine/$directory"; done
for directory in dev proc sys run tmp var lab home; do mkdir -p "/machine/$directory"; done
chmod 1777 /machine/tmp
for directory in dev proc sys lab; do mount --move "/$directory" "/machine/$directory"; done
exec switch_root /machine /bin/bash /lab/guest.sh
