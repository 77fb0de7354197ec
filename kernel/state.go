package kernel

import "fmt"

// Running says whether the kernel has booted: system_state (init/main.c) is
// SYSTEM_RUNNING or later, so that its init memory is freed and its first
// process runs.
func (k *Kernel) Running() (bool, error) {
	running, err := k.info.constant("SYSTEM_RUNNING", "start_kernel")
	if err != nil {
		return false, fmt.Errorf("system_state: %w", err)
	}
	now, err := k.number("system_state")
	return int64(now) >= running, err
}
