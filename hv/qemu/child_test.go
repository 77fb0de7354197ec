package qemu

import "os"

func childMain(string) { os.Exit(1) }
