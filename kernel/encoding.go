package kernel

// HidesPointer says whether an integer member of a structure, by the tag of
// that and its own name, holds a pointer in a known form: with flags in its
// low bits, or as a plain number. Structures and members are those of Linux
// 4.19 to 6.18; what a kernel lacks never comes up. They are the members that
// may hold the only reference to what an allocator handed out. Members of
// pointer types need no row, whatever is in their low bits, and neither do
// unions that have a pointer beside the integer.
func HidesPointer(tag, member string) bool { return hidesPointer[[2]string{tag, member}] }

var hidesPointer = map[[2]string]bool{
	// include/linux/rbtree_types.h: the parent, and the colour in bit 0. It is
	// the only way up, and so to what is left of a tree without its root.
	{"rb_node", "__rb_parent_color"}: true,
	// include/linux/workqueue.h: struct pool_workqueue with flags.
	{"work_struct", "data"}: true,
	// include/linux/interrupt.h: the callback's argument, mostly a pointer.
	{"tasklet_struct", "data"}: true,
	// include/linux/mutex_types.h, rwsem.h: the owning task with flags.
	{"mutex", "owner"}:        true,
	{"rw_semaphore", "owner"}: true,
	// include/linux/percpu-refcount.h: a per-CPU pointer with flags.
	{"percpu_ref", "percpu_count_ptr"}: true,
	// include/linux/skbuff.h: struct dst_entry with SKB_DST_NOREF, and struct
	// nf_conn with the connection's state.
	{"sk_buff", "_skb_refdst"}: true,
	{"sk_buff", "_nfct"}:       true,
	// include/net/dst.h: struct dst_metrics with DST_METRICS_FLAGS.
	{"dst_entry", "_metrics"}: true,
	// include/linux/scatterlist.h: a page, or the next table with SG_CHAIN.
	{"scatterlist", "page_link"}: true,
	// include/linux/ns_common.h, up to 6.8: struct dentry as atomic_long_t.
	{"ns_common", "stashed"}: true,
	// include/linux/cgroup-defs.h, up to 5.15: struct cgroup in the integer.
	{"sock_cgroup_data", "val"}: true,
	// include/linux/io_uring_types.h, io_uring/rsrc.h: struct file with flags.
	{"io_fixed_file", "file_ptr"}: true,
	{"io_rsrc_node", "file_ptr"}:  true,
	// arch/x86/include/asm/kvm_host.h: a descriptor with bit 0 set.
	{"kvm_rmap_head", "val"}: true,
	// mm/zswap.c, drivers/block/zram/zram_drv.h: what the pool returned, for
	// zsmalloc the address of a slab object.
	{"zswap_entry", "handle"}:      true,
	{"zram_table_entry", "handle"}: true,
	// include/linux/file.h (6.10): struct file with flags.
	{"fd", "word"}: true,
	// include/linux/pipe_fs_i.h: the private data of the buffer's owner.
	{"pipe_buffer", "private"}: true,
	// include/linux/genalloc.h: the memory that the pool hands out.
	{"gen_pool_chunk", "start_addr"}: true,
	// include/linux/mmzone.h: the page descriptors with flags.
	{"mem_section", "section_mem_map"}: true,
	// include/linux/console_struct.h: the screen's buffer.
	{"vc_data", "vc_origin"}: true,
	// include/linux/timer.h (up to 4.14 and drivers' own): the argument.
	{"timer_list", "data"}: true,
}
