//! Decides in which pages the process gets its memory; never how much of it.

/// Asks the kernel for small pages. The allocator asks for huge ones, and a gateway's memory is thousands of small things
/// of open streams: a page of 2 MB counts whole where little of it is in use.
pub(crate) fn without_huge_pages() {
    #[cfg(target_os = "linux")]
    // Where the kernel refuses, the process is larger than it need be, and no worse.
    let _refused = rustix::thread::disable_transparent_huge_pages(true);
}
