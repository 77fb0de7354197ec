/* Without a prototype: Meta's compiler has no variable arguments. */
int printf();
