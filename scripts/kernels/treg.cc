// SPDX-License-Identifier: GPL-2.0-or-later
/* A plugin of GCC that leaves out the passes sh_treg_combine*; see sh4.sh. */
#include <string.h>

#include "gcc-plugin.h"
#include "plugin-version.h"
#include "context.h"
#include "tree-pass.h"

int plugin_is_GPL_compatible;

static void leave_out(void *gate, void *)
{
	if (current_pass && current_pass->name &&
	    !strncmp(current_pass->name, "sh_treg_combine", strlen("sh_treg_combine")))
		*(int *)gate = 0;
}

int plugin_init(struct plugin_name_args *info, struct plugin_gcc_version *version)
{
	if (!plugin_default_version_check(version, &gcc_version))
		return 1;
	register_callback(info->base_name, PLUGIN_OVERRIDE_GATE, leave_out, NULL);
	return 0;
}
