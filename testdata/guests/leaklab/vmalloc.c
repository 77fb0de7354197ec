// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that is contiguous in addresses only. */
#include "mm.h"

struct list_head vmap_area_list = LIST_HEAD_INIT(vmap_area_list); /* by address */
static struct kmem_cache *vmap_area_cachep;
static spinlock_t vmap_area_lock; /* and the page tables */

#define VM_ALLOC 2

static noinline struct vmap_area *find_vm_area(unsigned long addr)
{
	struct list_head *l;

	for (l = vmap_area_list.next; l != &vmap_area_list; l = l->next) {
		struct vmap_area *va = container_of(l, struct vmap_area, list);

		if (va->va_start == addr)
			return va;
	}
	return NULL;
}

/* Finds a gap, with room for a page behind that stays unmapped. */
static void insert_area(struct vmap_area *va, unsigned long size, unsigned long align, unsigned long start)
{
	struct list_head *l;

	for (l = vmap_area_list.next; l != &vmap_area_list; l = l->next) {
		struct vmap_area *next = container_of(l, struct vmap_area, list);

		if (next->va_start >= start + size)
			break;
		start = ALIGN(next->va_end, align);
	}
	va->va_start = start;
	va->va_end = start + size;
	list_add_tail(&va->list, l);
}

noinline void *__vmalloc_node_range(unsigned long size, unsigned long align, unsigned long start, unsigned long end, gfp_t gfp, const void *caller)
{
	unsigned int n = ALIGN(size, PAGE_SIZE) >> PAGE_SHIFT;
	struct vmap_area *va = kmem_cache_alloc(vmap_area_cachep, gfp);
	struct vm_struct *vm = kmalloc(sizeof(*vm), gfp);
	struct page **pages = kmalloc(n * sizeof(*pages), gfp);

	BUG_ON(!va || !vm || !pages);
	memset(va, 0, sizeof(*va));
	memset(vm, 0, sizeof(*vm));
	spin_lock(&vmap_area_lock);
	insert_area(va, ((unsigned long)n + 1) << PAGE_SHIFT, align, start);
	BUG_ON(va->va_end > end);
	va->vm = vm;
	vm->addr = (void *)va->va_start;
	vm->size = va->va_end - va->va_start;
	vm->flags = VM_ALLOC;
	vm->pages = pages;
	vm->nr_pages = n;
	vm->caller = caller;
	for (unsigned int i = 0; i < n; i++) {
		pages[i] = __alloc_pages(gfp, 0, 0, NULL);
		BUG_ON(!pages[i]);
		map_page(va->va_start + ((unsigned long)i << PAGE_SHIFT), pt_page(page_to_phys(pages[i])));
	}
	spin_unlock(&vmap_area_lock);
	return vm->addr;
}

noinline void *vmalloc(unsigned long size)
{
	void *p = __vmalloc_node_range(size, 1, VMALLOC_START, VMALLOC_END, GFP_KERNEL, __builtin_return_address(0));

	barrier(); /* no tail call: the frame is wanted */
	return p;
}

noinline void vfree(const void *p)
{
	struct vmap_area *va;
	struct vm_struct *vm;

	if (!p)
		return;
	spin_lock(&vmap_area_lock);
	va = find_vm_area((unsigned long)p);
	BUG_ON(!va);
	vm = va->vm;
	for (unsigned int i = 0; i < vm->nr_pages; i++) {
		unmap_page(va->va_start + ((unsigned long)i << PAGE_SHIFT));
		__free_pages(vm->pages[i], 0);
	}
	list_del(&va->list);
	spin_unlock(&vmap_area_lock);
	kfree(vm->pages);
	kfree(vm);
	kmem_cache_free(vmap_area_cachep, va);
}

void vmalloc_init(void) { vmap_area_cachep = kmem_cache_create("vmap_area", sizeof(struct vmap_area)); }
