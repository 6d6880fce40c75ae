#!/bin/sh
# Makes a root filesystem tarball from this machine's static busybox.
#
#   hack/busybox-image.sh OUT.tar
#
# The result depends on the busybox alone: times, owners and order are fixed.
# Import it with: mini import OUT.tar busybox
set -eu

if [ $# -ne 1 ]; then
	echo "usage: $0 OUT.tar" >&2
	exit 2
fi
out=$1

busybox=${BUSYBOX:-$(command -v busybox || true)}
if [ -z "$busybox" ]; then
	echo "$0: busybox is not installed (Debian, Ubuntu: apt-get install busybox-static)" >&2
	exit 1
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
root=$dir/root

mkdir -p "$root/bin" "$root/sbin" "$root/usr/bin" "$root/usr/sbin" "$root/etc" "$root/dev" \
	"$root/proc" "$root/sys" "$root/run" "$root/root" "$root/home/app" "$root/var" \
	"$root/tmp" "$root/www/cgi-bin"
cp "$(readlink -f "$busybox")" "$root/bin/busybox"
chmod 755 "$root" "$root/bin/busybox"

# A program that needs libraries does not start in an empty root. Without root
# there is no chroot to try it in; then the first container shows it.
if [ "$(id -u)" -eq 0 ] && ! chroot "$root" /bin/busybox true 2>/dev/null; then
	echo "$0: $busybox is not static (Debian, Ubuntu: apt-get install busybox-static)" >&2
	exit 1
fi

"$busybox" --list-full | while read -r path; do
	# The list has busybox itself; a link there would replace the program.
	if [ ! -e "$root/$path" ]; then
		ln -s /bin/busybox "$root/$path"
	fi
done

cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
END
cat >"$root/etc/group" <<'END'
root:x:0:
staff:x:50:app
app:x:1000:
nogroup:x:65534:
END
cat >"$root/www/index.html" <<'END'
<!doctype html>
<title>mini</title>
<h1>It works!</h1>
<p>This page comes from busybox httpd in a container that mini started.</p>
END
# Tells the client which address the container sees.
cat >"$root/www/cgi-bin/addr" <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n%s\n' "$REMOTE_ADDR"
END
chmod 755 "$root/www/cgi-bin/addr"
chmod 1777 "$root/tmp"
chmod 700 "$root/root"

tar --create --file "$dir/out.tar" --directory "$root" --format=gnu --sort=name \
	--mtime=@0 --owner=0 --group=0 --numeric-owner --exclude=./home/app .
# The home of app belongs to app.
tar --append --file "$dir/out.tar" --directory "$root" --format=gnu \
	--mtime=@0 --owner=1000 --group=1000 --numeric-owner ./home/app
mv "$dir/out.tar" "$out"
