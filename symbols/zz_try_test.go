package symbols
import ("testing";"os";"time";"syscall";"fmt")
func cpuT() time.Duration{var r syscall.Rusage;syscall.Getrusage(0,&r);return time.Duration(r.Utime.Nano()+r.Stime.Nano())}
func TestTry(t *testing.T){
 p:=os.Getenv("LEAKVISOR_VMLINUX"); if p==""{t.Skip()}
 c0:=cpuT()
 im,err:=Open(p,&Options{CacheDir:os.Getenv("CD")}); if err!=nil{t.Fatal(err)}
 fmt.Println("open",cpuT()-c0, len(im.syms.all), len(im.syms.code))
 r,err:=im.Release(); fmt.Println(r,err, fmt.Sprintf("%x",im.BuildID()))
 f,err:=im.Func("kfree"); fmt.Println(f,err)
 f,err=im.Func("__kmem_cache_free_bulk"); fmt.Println(f,err)
 f,err=im.Func("vmap"); fmt.Println(f,err)
 for _,n:=range []string{"task_struct","mm_struct","module","page","slab","kmem_cache","vmap_area","vm_struct","zone","pglist_data","per_cpu_pages","memblock","orc_entry","list_head","pt_regs"}{
  s,err:=im.Struct(n,"kfree","fork_idle","module_put","memblock_add","unwind_next_frame")
  if err!=nil{fmt.Println(n,err);continue}
  fmt.Println(n,s.Size,len(s.types),cpuT()-c0)
 }
 s,_:=im.Struct("task_struct"); 
 fmt.Println("full",cpuT()-c0)
 for _,p:=range []string{"thread.sp","comm","tasks.next","stack","thread.fpu","se.vruntime","pid","mm","flags","sched_reset_on_fork","nope","comm[3]","comm[99]","rcu_node_entry.next", "sysvsem.undo_list", "vtime.state"}{
  f,err:=s.Field(p); fmt.Println(p,f,err)}
 s,err=im.Struct("orc_entry"); fmt.Printf("%+v %v\n",s,err)
 s,err=im.Struct("atomic_t"); fmt.Printf("%+v %v\n",s,err)
 s,err=im.Struct("no_such_struct"); fmt.Println(s,err)
 fmt.Println("end",cpuT()-c0)
 var ru syscall.Rusage;syscall.Getrusage(0,&ru);fmt.Println("rss MB",ru.Maxrss>>10)
 im.Close()
}
func TestTry2(t *testing.T){
 p:=os.Getenv("LEAKVISOR_VMLINUX"); if p==""{t.Skip()}
 c0:=cpuT()
 im,err:=Open(p,nil); if err!=nil{t.Fatal(err)}
 for _,n:=range []string{"kfree","kmem_cache_alloc","vmalloc","entry_SYSCALL_64","start_kernel","ret_from_fork"}{
  s,err:=im.Symbol(n); f,l,ok:=im.Line(s.Addr+4); fmt.Println(n,err,f,l,ok, cpuT()-c0)
  ff,ok:=im.FuncAt(s.Addr+5); fmt.Println(ff,ok)
 }
 fmt.Println(im.Enum("PG_slab","kfree")); fmt.Println(im.Enum("PG_slab")); fmt.Println(cpuT()-c0)
 fmt.Println(im.Enum("NR_KMALLOC_TYPES")); fmt.Println(im.Enum("MEMBLOCK_NOMAP")); fmt.Println(cpuT()-c0)
 r,err:=im.Inlined("slab_alloc_node","kmem_cache_alloc"); fmt.Printf("%d %v\n",len(r),err); fmt.Println(cpuT()-c0)
 for _,x:=range r{ f,_:=im.FuncAt(x.Start); fmt.Printf("%x-%x %s\n",x.Start,x.End,f.Name)}
 r,err=im.Inlined("kfree"); fmt.Printf("%d %v\n",len(r),err); fmt.Println(cpuT()-c0)
 sp:=NewSpace(im,0x1000000)
 u,err:=sp.Unwinder(); fmt.Println(u.Method(),err); fmt.Println(cpuT()-c0)
 fmt.Println(sp.ResolveReturn(0xffffffff81500000+0x1000000,3))
 cfi,err:=newCFIUnwinder(sp); fmt.Println(len(cfi.fdes),err,cpuT()-c0)
 fmt.Println(im.keepsFramePointers(),cpuT()-c0)
 var ru syscall.Rusage;syscall.Getrusage(0,&ru);fmt.Println("rss MB",ru.Maxrss>>10)
}
