// SPDX-License-Identifier: GPL-2.0-or-later
/* Frees that wait until the idle task runs, in a list through the objects. */
#include "mm.h"

struct rcu_data {
	struct rcu_head *head;
};

static DEFINE_PER_CPU(struct rcu_data, rcu_data);

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	struct rcu_data *data = this_cpu_ptr(&rcu_data);

	head->func = func;
	head->next = data->head;
	data->head = head;
}

noinline void rcu_do_batch(void)
{
	struct rcu_data *data = this_cpu_ptr(&rcu_data);
	struct rcu_head *head = data->head;

	data->head = NULL;
	while (head) {
		struct rcu_head *next = head->next;

		head->func(head);
		head = next;
	}
}
