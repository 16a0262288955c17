// Package sysfs reads the directories in which Linux shows its devices.
package sysfs
