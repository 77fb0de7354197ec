package symbols
import ("testing";"os";"encoding/json";"encoding/hex";"fmt";"github.com/leakvisor/leakvisor/guestmem")
func TestTry3(t *testing.T){
 p:=os.Getenv("LEAKVISOR_VMLINUX"); if p==""{t.Skip()}
 im,err:=Open(p,nil); if err!=nil{t.Fatal(err)}
 sp:=NewSpace(im,0)
 u,err:=sp.Unwinder(); if err!=nil{t.Fatal(err)}
 c,err:=newCFIUnwinder(sp); if err!=nil{t.Fatal(err)}
 cu:=&unwinder{im.arch,"cfi",c}
 b,_:=os.ReadFile("/work/w/symbols/samples.json")
 var ss []struct{Rip,Rsp,Rbp uint64;Stack string;Any bool}
 if err:=json.Unmarshal(b,&ss);err!=nil{t.Fatal(err)}
 full,inc,same,diff:=0,0,0,0
 for i,s:=range ss{
  st,_:=hex.DecodeString(s.Stack)
  var out,out2 [16]guestmem.GVA
  n,ok:=u.Unwind(0,guestmem.GVA(s.Rip),guestmem.GVA(s.Rsp),s.Rbp,st,out[:])
  n2,ok2:=cu.Unwind(0,guestmem.GVA(s.Rip),guestmem.GVA(s.Rsp),s.Rbp,st,out2[:])
  if ok {full++} else {inc++}
  eq:=true; for j:=range min(n,n2){ if out[j]!=out2[j]{eq=false}}
  if eq{same++}else{diff++}
  if i%37==0 || !ok && i%5==0 || !eq {
   fmt.Printf("#%d any=%v %s n=%d ok=%v cfi n=%d ok=%v stack=%d\n",i,s.Any,name(sp,s.Rip),n,ok,n2,ok2,len(st))
   for j:=range n { fmt.Printf("   %s\n",name(sp,uint64(out[j])))}
   if !eq { for j:=range n2 { fmt.Printf("   CFI %s\n",name(sp,uint64(out2[j])))} }
  }
 }
 fmt.Println("complete",full,"incomplete",inc,"same",same,"diff",diff)
}
func name(sp *Space,pc uint64)string{f:=sp.ResolveReturn(guestmem.GVA(pc),0);return fmt.Sprintf("%s+%#x/%#x",f.Symbol,f.Offset,f.Size)}
func BenchmarkUnwind(bm *testing.B){
 p:=os.Getenv("LEAKVISOR_VMLINUX"); if p==""{bm.Skip()}
 im,_:=Open(p,nil)
 sp:=NewSpace(im,0)
 u,_:=sp.Unwinder()
 b,_:=os.ReadFile("/work/w/symbols/samples.json")
 var ss []struct{Rip,Rsp,Rbp uint64;Stack string;Any bool}
 json.Unmarshal(b,&ss)
 var st [][]byte
 for _,s:=range ss{x,_:=hex.DecodeString(s.Stack);st=append(st,x)}
 bm.ReportAllocs()
 bm.ResetTimer()
 tot:=0
 for i:=0;i<bm.N;i++{ var out [16]guestmem.GVA; k:=i%len(ss); s:=&ss[k]
  n,_:=u.Unwind(0,guestmem.GVA(s.Rip),guestmem.GVA(s.Rsp),s.Rbp,st[k],out[:]); tot+=n}
 bm.ReportMetric(float64(tot)/float64(bm.N),"frames/op")
}
