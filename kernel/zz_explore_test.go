package kernel

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/symbols"
)

type timed struct{ imageInfo }

func (i timed) structure(name string, near ...string) (structure, error) {
	t := time.Now()
	s, err := i.imageInfo.structure(name, near...)
	if d := time.Since(t); d > 15*time.Millisecond || err != nil {
		fmt.Println(d, name, near, err)
	}
	return s, err
}

func (i timed) constant(name string, near ...string) (int64, error) {
	t := time.Now()
	s, err := i.imageInfo.constant(name, near...)
	if d := time.Since(t); d > 15*time.Millisecond || err != nil {
		fmt.Println(d, name, near, err)
	}
	return s, err
}

func TestExplore(t *testing.T) {
	d := os.Getenv("LEAKVISOR_SNAPSHOT")
	im, err := symbols.Open(d+"/vmlinux", nil)
	if err != nil {
		t.Fatal(err)
	}
	newKernel(nil, nil, timed{imageInfo{im}}, 0)
	im.Close()
}
