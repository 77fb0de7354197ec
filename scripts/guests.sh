# What the guests are, for setup.sh and guest.sh; to be sourced.

# Sets what a name means:
#   metas      meta packages to ask, in any order
#   series, flavour   how the image package they depend on begins and ends
#   debian     Debian's name of the architecture
#   karch      the kernel's name of it (make ARCH=)
#   cross      prefix of the cross compiler, empty for the machine's own
#   compiler   packages with that
#   image      the kernel image's name in the package, without the release
#   emulator, qemu   QEMU's program and the package that has it
# and of a guest that is built, as Debian has no kernel for it:
#   recipe     the file in scripts/kernels that says how, if one is needed; else empty
#   fragments  those of its configuration, in scripts/kernels/frag
#   source     the package with the sources
#   target, image   what make makes besides vmlinux, and what QEMU boots of it
#   folder     the architecture's in the sources (arch/*)
#   cpus       how many the guest is tested with, at most
#   stays      not empty if its machine goes on when it powers off, or restarts
#   gcc        the compiler's name behind the prefix
#   flags      what it needs to be told to compile for the guest
describe() {
	compiler=() cross= image=vmlinuz recipe= metas=()
	case $1 in
	x86_64-*)
		debian=amd64 karch=x86
		emulator=qemu-system-x86_64 qemu=qemu-system-x86 ;;
	i386-*)
		debian=i386 karch=i386 cross=i686-linux-gnu-
		compiler=(gcc-12-i686-linux-gnu)
		emulator=qemu-system-i386 qemu=qemu-system-x86 ;;
	arm64-*)
		debian=arm64 karch=arm64 cross=aarch64-linux-gnu-
		compiler=(gcc-12-aarch64-linux-gnu)
		emulator=qemu-system-aarch64 qemu=qemu-system-arm ;;
	armhf-*)
		debian=armhf karch=arm cross=arm-linux-gnueabihf-
		compiler=(gcc-12-arm-linux-gnueabihf)
		emulator=qemu-system-arm qemu=qemu-system-arm ;;
	s390x-*)
		debian=s390x karch=s390 cross=s390x-linux-gnu-
		compiler=(gcc-12-s390x-linux-gnu)
		emulator=qemu-system-s390x qemu=qemu-system-misc ;;
	ppc64le-*)
		debian=ppc64el karch=powerpc cross=powerpc64le-linux-gnu-
		image=vmlinux compiler=(gcc-12-powerpc64le-linux-gnu)
		emulator=qemu-system-ppc64 qemu=qemu-system-ppc ;;
	mipsel-*)
		debian=mipsel karch=mips cross=mipsel-linux-gnu-
		compiler=(gcc-12-mipsel-linux-gnu)
		emulator=qemu-system-mipsel qemu=qemu-system-mips ;;
	mips64el-*)
		debian=mips64el karch=mips cross=mips64el-linux-gnuabi64-
		compiler=(gcc-12-mips64el-linux-gnuabi64)
		emulator=qemu-system-mips64el qemu=qemu-system-mips ;;
	ppc32-* | mips-* | sparc64-* | sh4-* | microblaze-* | microblazeel-*)
		describe_built "$1"
		return ;;
	*)
		return 1 ;;
	esac
	case $1 in
	x86_64-6.1-cloud)
		metas=(linux-image-cloud-amd64 linux-image-6.1-cloud-amd64)
		series=6.1 flavour=cloud-amd64 ;;
	x86_64-6.12-cloud)
		metas=(linux-image-cloud-amd64 linux-image-6.12-cloud-amd64)
		series=6.12 flavour=cloud-amd64 ;;
	x86_64-6.12-rt)
		metas=(linux-image-rt-amd64 linux-image-6.12-rt-amd64)
		series=6.12 flavour=rt-amd64 ;;
	x86_64-6.1-rt)
		metas=(linux-image-rt-amd64)
		series=6.1 flavour=rt-amd64 ;;
	x86_64-6.1)
		metas=(linux-image-amd64 linux-image-6.1-amd64)
		series=6.1 flavour=amd64 ;;
	i386-6.1)
		metas=(linux-image-686)
		series=6.1 flavour=686 ;;
	i386-6.1-pae)
		metas=(linux-image-686-pae)
		series=6.1 flavour=686-pae ;;
	arm64-6.1-cloud)
		metas=(linux-image-cloud-arm64)
		series=6.1 flavour=cloud-arm64 ;;
	arm64-6.12-cloud)
		metas=(linux-image-cloud-arm64 linux-image-6.12-cloud-arm64)
		series=6.12 flavour=cloud-arm64 ;;
	arm64-6.12-16k)
		metas=(linux-image-arm64-16k linux-image-6.12-arm64-16k)
		series=6.12 flavour=arm64-16k ;;
	armhf-6.1)
		metas=(linux-image-armmp)
		series=6.1 flavour=armmp ;;
	armhf-6.1-lpae)
		metas=(linux-image-armmp-lpae)
		series=6.1 flavour=armmp-lpae ;;
	armhf-6.12)
		metas=(linux-image-armmp)
		series=6.12 flavour=armmp ;;
	ppc64le-6.1)
		metas=(linux-image-powerpc64le)
		series=6.1 flavour=powerpc64le ;;
	ppc64le-6.12)
		metas=(linux-image-powerpc64le)
		series=6.12 flavour=powerpc64le ;;
	s390x-6.1)
		metas=(linux-image-s390x)
		series=6.1 flavour=s390x ;;
	s390x-6.12)
		metas=(linux-image-s390x)
		series=6.12 flavour=s390x ;;
	mipsel-6.1)
		metas=(linux-image-4kc-malta)
		series=6.1 flavour=4kc-malta ;;
	mips64el-6.1)
		metas=(linux-image-5kc-malta)
		series=6.1 flavour=5kc-malta ;;
	mips64el-6.12)
		metas=(linux-image-5kc-malta)
		series=6.12 flavour=5kc-malta ;;
	*)
		return 1 ;;
	esac
}

describe_built() {
	debian= target= image=vmlinux cpus=1 stays= gcc=gcc-12 flags=()
	recipe=${1%%-*} source=linux-source-${1#*-}
	fragments=(common "$recipe")
	case $1 in
	ppc32-6.1)
		karch=powerpc cross=powerpc-linux-gnu-
		compiler=(gcc-12-powerpc-linux-gnu)
		emulator=qemu-system-ppc qemu=qemu-system-ppc ;;
	mips-6.1)
		karch=mips cross=mips-linux-gnu-
		compiler=(gcc-12-mips-linux-gnu)
		emulator=qemu-system-mips qemu=qemu-system-mips ;;
	sparc64-6.1)
		karch=sparc64 cross=sparc64-linux-gnu- stays=1
		target=image image=arch/sparc/boot/image
		compiler=(gcc-12-sparc64-linux-gnu)
		emulator=qemu-system-sparc64 qemu=qemu-system-sparc ;;
	sh4-6.1)
		karch=sh cross=sh4-linux-gnu-
		target=zImage image=arch/sh/boot/zImage
		compiler=(gcc-12-sh4-linux-gnu gcc-12-plugin-dev-sh4-linux-gnu g++ libgmp-dev)
		emulator=qemu-system-sh4 qemu=qemu-system-misc ;;
	microblaze-6.1 | microblazeel-6.1)
		karch=microblaze cross=microblaze-linux- gcc=gcc stays=1
		compiler=(g++ libgmp-dev libmpfr-dev libmpc-dev)
		emulator=qemu-system-$recipe qemu=qemu-system-misc
		case $recipe in
		*el) fragments=(common microblaze little-endian) flags=(-mlittle-endian) ;;
		*) fragments+=(big-endian) ;;
		esac
		recipe=microblaze ;;
	*)
		return 1 ;;
	esac
	folder=${karch%64}
	compiler+=(bison flex)
}

readonly names="x86_64-6.1-cloud x86_64-6.12-cloud x86_64-6.1 x86_64-6.1-rt x86_64-6.12-rt i386-6.1 i386-6.1-pae arm64-6.1-cloud arm64-6.12-cloud arm64-6.12-16k armhf-6.1 armhf-6.1-lpae armhf-6.12 ppc64le-6.1 ppc64le-6.12 s390x-6.1 s390x-6.12 mipsel-6.1 mips64el-6.1 mips64el-6.12 ppc32-6.1 mips-6.1 sparc64-6.1 sh4-6.1 microblaze-6.1 microblazeel-6.1"
