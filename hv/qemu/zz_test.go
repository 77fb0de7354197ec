package qemu
import ("testing";"time";"fmt";"github.com/leakvisor/leakvisor/hv")
func TestZZ(t *testing.T){
 g:=needGuest(t)
 m:=start(t,g.config(t,1,"p140"))
 ctx:=limited(t)
 var last time.Time
 h:=&handler{plan:planOf(&hv.Plan{Hooks: g.hooks(true)[hookSync:]})}
 h.event=func(ev *hv.Event) error {
  t0:=time.Now()
  var a,b,c time.Duration
  if ev.Seq%2==0 { if err:=m.Pause(ctx);err!=nil{return err}; a=time.Since(t0); t1:=time.Now(); m.Registers(ctx,0); b=time.Since(t1); t1=time.Now(); m.Resume(ctx); c=time.Since(t1)}
  fmt.Println("gap",t0.Sub(last),"pause",a,"regs",b,"resume",c)
  last=time.Now()
  return nil
 }
 if err:=m.Run(ctx,h);err!=nil{t.Fatal(err)}
}
