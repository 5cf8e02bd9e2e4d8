//go:build kiln_linux

package procfs

import (
	"strconv"
	"strings"
	"syscall"
)

// What /proc and /sys have of the machine for programs in ring 3, beyond what
// Go programs look at.

// addMachine fills /proc.
func (in *Info) addMachine(root tree) {
	root.dir.AddLink("net", "self/net")
	root.dir.Remove("cpuinfo")
	root.text("cpuinfo", in.fullCPUInfo)
	root.text("cmdline", constant(""))
	root.text("devices", constant("Character devices:\n  1 mem\n  5 /dev/tty\n\nBlock devices:"))
	root.text("interrupts", constant(""))
	root.text("modules", func() string { return "" })
	root.text("partitions", constant("major minor  #blocks  name\n"))
	sys := tree{root.fs, root.dir.Child("sys")}
	in.addTunables(sys)
}

func (t tree) at(path string) tree {
	for name := range strings.SplitSeq(path, "/") {
		if d := t.dir.Child(name); d != nil {
			t.dir = d
		} else {
			t = t.sub(name)
		}
	}
	return t
}

// addTunables adds settings that programs read to adapt to them. Writing one
// stores it.
func (in *Info) addTunables(sys tree) {
	for _, v := range [...]struct{ dir, name, value string }{
		{"kernel", "core_pattern", "core"}, {"kernel", "randomize_va_space", "2"}, {"kernel", "perf_event_paranoid", "4"}, {"kernel", "shmmax", "18446744073692774399"},
		{"kernel", "shmall", "18446744073692774399"}, {"kernel", "shmmni", "4096"}, {"kernel", "sem", "32000\t1024000000\t500\t32000"}, {"kernel", "msgmax", "8192"},
		{"kernel", "msgmnb", "16384"}, {"kernel", "numa_balancing", "0"}, {"kernel", "sched_child_runs_first", "0"}, {"kernel", "yama/ptrace_scope", "1"},
		{"kernel", "seccomp/actions_avail", "kill_process kill_thread trap errno user_notif trace log allow"}, {"kernel", "overflowuid", "65534"}, {"kernel", "overflowgid", "65534"},
		{"kernel", "unprivileged_bpf_disabled", "2"}, {"kernel", "dmesg_restrict", "1"}, {"kernel", "io_uring_disabled", "0"},
		{"vm", "overcommit_ratio", "50"}, {"vm", "mmap_min_addr", "65536"}, {"vm", "nr_hugepages", "0"}, {"vm", "panic_on_oom", "0"}, {"vm", "dirty_ratio", "20"},
		{"vm", "dirty_background_ratio", "10"}, {"vm", "min_free_kbytes", "4096"}, {"vm", "zone_reclaim_mode", "0"}, {"vm", "legacy_va_layout", "0"},
		{"fs", "aio-max-nr", "65536"}, {"fs", "aio-nr", "0"}, {"fs", "suid_dumpable", "0"}, {"fs", "pipe-user-pages-soft", "16384"}, {"fs", "pipe-user-pages-hard", "0"},
		{"fs", "protected_hardlinks", "0"}, {"fs", "protected_symlinks", "0"}, {"fs", "file-nr", "0\t0\t1048576"}, {"fs", "inotify/max_user_watches", "65536"},
		{"fs", "inotify/max_user_instances", "128"}, {"fs", "epoll/max_user_watches", "65536"}, {"fs", "mqueue/msg_max", "10"},
		{"net", "core/rmem_default", "212992"}, {"net", "core/rmem_max", "212992"}, {"net", "core/wmem_default", "212992"}, {"net", "core/wmem_max", "212992"},
		{"net", "core/netdev_max_backlog", "1000"}, {"net", "core/optmem_max", "20480"}, {"net", "core/busy_poll", "0"},
		{"net", "ipv4/ip_local_port_range", "32768\t60999"}, {"net", "ipv4/ip_forward", "0"}, {"net", "ipv4/ip_nonlocal_bind", "0"}, {"net", "ipv4/ip_unprivileged_port_start", "1024"},
		{"net", "ipv4/ping_group_range", "0\t2147483647"}, {"net", "ipv4/tcp_rmem", "4096\t131072\t6291456"}, {"net", "ipv4/tcp_wmem", "4096\t16384\t4194304"},
		{"net", "ipv4/tcp_max_syn_backlog", "4096"}, {"net", "ipv4/tcp_keepalive_time", "7200"}, {"net", "ipv4/tcp_keepalive_intvl", "75"}, {"net", "ipv4/tcp_keepalive_probes", "9"},
		{"net", "ipv4/tcp_fin_timeout", "60"}, {"net", "ipv4/tcp_tw_reuse", "2"}, {"net", "ipv4/tcp_fastopen", "1"}, {"net", "ipv4/tcp_congestion_control", "cubic"},
		{"net", "ipv4/tcp_available_congestion_control", "reno cubic"}, {"net", "ipv4/tcp_syncookies", "1"}, {"net", "ipv6/bindv6only", "0"},
		{"net", "ipv6/conf/all/disable_ipv6", "0"}, {"net", "ipv6/conf/default/disable_ipv6", "0"}, {"net", "unix/max_dgram_qlen", "256"},
	} {
		path := v.dir + "/" + v.name
		cut := strings.LastIndexByte(path, '/')
		sys.at(path[:cut]).setting(path[cut+1:], v.value+"\n")
	}
}

// fullCPUInfo has the keys that programs parse. Which instructions there are is
// the CPUID instruction's to tell; the flags here are those that all CPUs for
// x86-64 have.
func (in *Info) fullCPUInfo() string {
	var b strings.Builder
	cpus := strconv.Itoa(in.CPUs)
	for i := range in.CPUs {
		n := strconv.Itoa(i)
		for _, v := range [...]struct{ key, value string }{
			{"processor\t", n}, {"vendor_id\t", "GenuineIntel"}, {"cpu family\t", "6"}, {"model\t\t", "0"}, {"model name\t", "virtual CPU"}, {"stepping\t", "0"},
			{"cpu MHz\t\t", "1000.000"}, {"cache size\t", "4096 KB"}, {"physical id\t", "0"}, {"siblings\t", cpus}, {"core id\t\t", n}, {"cpu cores\t", cpus},
			{"apicid\t\t", n}, {"initial apicid\t", n}, {"fpu\t\t", "yes"}, {"fpu_exception\t", "yes"}, {"cpuid level\t", "13"}, {"wp\t\t", "yes"},
			{"flags\t\t", "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush mmx fxsr sse sse2 syscall nx lm constant_tsc rep_good nopl"},
			{"bugs\t\t", ""}, {"bogomips\t", "2000.00"}, {"clflush size\t", "64"}, {"cache_alignment\t", "64"}, {"address sizes\t", "40 bits physical, 48 bits virtual"},
			{"power management", ""},
		} {
			b.WriteString(strings.TrimRight(v.key+": "+v.value, " ") + "\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// addHardware fills /sys: the topology of CPUs, one memory node, interfaces.
func (in *Info) addHardware(root tree) {
	mask, list := in.allowed()
	system := root.at("devices/system")
	cpu := system.at("cpu")
	cpu.text("offline", constant(""))
	cpu.text("isolated", constant(""))
	cpu.text("kernel_max", constant("63"))
	for i := range in.CPUs {
		n := strconv.Itoa(i)
		c := cpu.sub("cpu" + n)
		if i > 0 {
			c.text("online", constant("1"))
		}
		own := hex(1<<i, 1)
		topology := c.sub("topology")
		for _, v := range [...]struct{ name, value string }{
			{"physical_package_id", "0"}, {"die_id", "0"}, {"cluster_id", "0"}, {"core_id", n}, {"thread_siblings", own}, {"thread_siblings_list", n}, {"core_cpus", own},
			{"core_cpus_list", n}, {"core_siblings", mask}, {"core_siblings_list", list}, {"package_cpus", mask}, {"package_cpus_list", list}, {"die_cpus", mask}, {"die_cpus_list", list},
		} {
			topology.text(v.name, constant(v.value))
		}
	}
	node := system.at("node")
	for _, name := range []string{"online", "possible", "has_cpu", "has_memory", "has_normal_memory"} {
		node.text(name, constant("0"))
	}
	node0 := node.sub("node0")
	node0.text("cpumap", constant(mask))
	node0.text("cpulist", constant(list))
	node0.text("distance", constant("10"))
	node0.text("meminfo", func() string {
		total, free := in.Memory()
		kb := func(n uint64) string { return strconv.FormatUint(n/1024, 10) + " kB\n" }
		return "Node 0 MemTotal: " + kb(total) + "Node 0 MemFree: " + kb(free) + "Node 0 MemUsed: " + kb(total-free)
	})
	root.at("kernel/mm").sub("hugepages")
	class := root.at("class")
	class.dir.Add("net", class.fs.NewInode(syscall.S_IFDIR|0o555, classNet{in, class.fs}))
	root.at("block")
	root.at("fs").sub("cgroup")
}
