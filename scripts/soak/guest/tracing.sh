# Tracers that put their own code before and behind functions, on the allocators too.
use() {
	ls -R /usr >/dev/null
	for i in 1 2 3; do
		cat /proc/*/status /proc/meminfo 2>/dev/null | wc -l >/dev/null
	done
	timeout 10 stress-ng -q --clone 1 --clone-ops 50 --sock 1 --sock-ops 20 --timeout 2s >/dev/null 2>&1
	return 0
}
cd /sys/kernel/tracing && {
	for tracer in $(cat available_tracers); do
		put $tracer current_tracer && use
		put nop current_tracer
	done
	put 1 options/func_stack_trace
	put kfree set_ftrace_filter && put function current_tracer && use
	put nop current_tracer
	put 0 options/func_stack_trace
	put '' set_ftrace_filter
	put 1 /proc/sys/kernel/stack_tracer_enabled && use
	put 0 /proc/sys/kernel/stack_tracer_enabled
	# Each allocator that there is, at its entry, at its exit, and within.
	for f in $(grep -owE '(__kmalloc|kmalloc_trace|__kmalloc_cache|kmem_cache_alloc|kmem_cache_alloc_lru)(_noprof)?|kfree|kmem_cache_free|vfree|__vmalloc_node_range' /proc/kallsyms | sort -u); do
		add "p:p_$f $f" kprobe_events
		add "r:r_$f $f \$retval" kprobe_events
		# Where an instruction begins there.
		for off in 4 5 7 8 10 12 16 20 24; do
			echo "p:i_${f}_$off $f+$off" >>kprobe_events
		done 2>/dev/null
	done
	echo "soak: $(wc -l <kprobe_events) probes of allocators"
	put 1 events/kprobes/enable && use
	put 0 events/kprobes/enable
	put '' kprobe_events
	put 'hist:keys=common_pid:values=bytes_req' events/kmem/kmalloc/trigger && {
		use
		try cat events/kmem/kmalloc/hist
		put '!hist:keys=common_pid:values=bytes_req' events/kmem/kmalloc/trigger
	}
	try mkdir instances/soak && try rmdir instances/soak
}
