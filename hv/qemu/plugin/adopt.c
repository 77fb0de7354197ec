/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Some machines take no memory file for their RAM. Then the file takes the
 * place of the memory that QEMU allocated: what is there is copied into it, and
 * it is mapped at the same addresses, which all of QEMU goes on to use. This
 * happens once, before the guest runs, when the reader asks for it: it finds
 * out from QEMU's monitor where that memory is, when the plugin is long there.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin.h"

static bool copy(const uint8_t *from, uint64_t size, uint64_t offset)
{
	while (size) {
		ssize_t n = pwrite(ctl->ram, from, size, offset);
		if (n <= 0)
			return false;
		from += n;
		size -= n;
		offset += n;
	}
	return true;
}

static void *adopt(void *unused)
{
	uint32_t state = ADOPT_DONE;
	(void)unused;

	while (load(&ctl->adopt) != ADOPT_NOW)
		futex_wait(&ctl->adopt, ADOPT_READY);
	for (uint32_t i = 0; i < ctl->npieces; i++) {
		const struct piece *p = &ctl->pieces[i];
		uint8_t *at = (uint8_t *)ctl->hosts[i];

		if (!copy(at, p->size, p->offset) ||
		    mmap(at, p->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 ctl->ram, p->offset) != at)
			state = ADOPT_FAILED;
	}
	store(&ctl->adopt, state);
	return NULL;
}

/* QEMU's signals are for its own threads. */
int start_thread(void *(*run)(void *))
{
	sigset_t all, old;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pthread_detach(thread);
	return err;
}

int wait_for_adoption(void) { return start_thread(adopt); }
