package scanner
import ("testing";"time")
var ProfIn func() *Input
func BenchProf(b *testing.T, in *Input, workers int) {
	t0 := time.Now()
	m := newMarker(in, workers)
	t1 := time.Now()
	ws := make([]*worker, workers)
	for i := range ws { ws[i] = newWorker(m) }
	m.run(b.Context(), ws)
	t2 := time.Now()
	m.result(ws)
	b.Log(workers, "index", t1.Sub(t0), "mark", t2.Sub(t1), "result", time.Since(t2))
}
func TestProf(t *testing.T) {
	h := newHeap(shape{"x", 1000000, 8, formats[0].order, 0.01})
	t0:=time.Now()
	var s uint64
	for i:=0;i<len(h.mem);i+=64 { s+=uint64(h.mem[i]) }
	t.Log("touch", time.Since(t0), s)
	for range 4 { for w := range 2 { BenchProf(t, h.input, w+1) } }
}
