// SPDX-License-Identifier: GPL-2.0-or-later
/* Ends a guest in one of the ways that a guest can end. */
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/string.h>

static char *how = "panic";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "panic, bug, null, hang, restart or poweroff");

static int *volatile null;

static int __init crash_init(void)
{
	printk(KERN_ALERT "crash: %s\n", how);
	if (!strcmp(how, "panic"))
		panic("crash: asked to");
	if (!strcmp(how, "bug"))
		BUG();
	if (!strcmp(how, "null"))
		return *null;
	if (!strcmp(how, "hang")) {
		local_irq_disable();
		for (;;)
			cpu_relax();
	}
	if (!strcmp(how, "restart"))
		emergency_restart();
	if (!strcmp(how, "poweroff"))
		kernel_power_off();
	return -EINVAL;
}
module_init(crash_init);

MODULE_DESCRIPTION("Ends the guest");
MODULE_LICENSE("GPL");
