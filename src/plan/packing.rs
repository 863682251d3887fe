//! Content codings that are the file's own. Servers label a published `.tar.gz` with `Content-Encoding: gzip` by its
//! name (Apache's AddEncoding), although the packed bytes are the file.

/// Compression format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
    Brotli,
    Bzip2,
    Xz,
    Compress,
}

impl Packing {
    /// Packing by the last extension of a file name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "gz" | "tgz" | "svgz" | "taz" | "gzip" | "emz" | "wmz" | "crate" | "cpgz" => Self::Gzip,
            "zst" | "tzst" | "zstd" => Self::Zstd,
            "br" | "tbr" => Self::Brotli,
            "bz2" | "tbz" | "tbz2" => Self::Bzip2,
            "xz" | "txz" => Self::Xz,
            // Both the old compress and a mislabelled gzip are found under it; gzip is labelled by .gz.
            "z" => Self::Compress,
            _ => return None,
        })
    }

    /// Packing by a media type without parameters, in lower case.
    pub(crate) fn of_media(media: &str) -> Option<Self> {
        let subtype = media.split_once('/')?.1.trim_start_matches("x-");
        Some(match subtype {
            "gzip" | "gunzip" | "gzipped" | "tgz" | "gtar-compressed" | "compressed-tar" => Self::Gzip,
            "zstd" | "zstd-compressed-tar" => Self::Zstd,
            "brotli" => Self::Brotli,
            "bzip" | "bzip2" | "bzip-compressed-tar" | "bzip2-compressed-tar" => Self::Bzip2,
            "xz" | "xz-compressed-tar" => Self::Xz,
            "compress" => Self::Compress,
            // RFC 6839 §3.4, RFC 8878 §7.1; container layers have both spellings.
            _ if subtype.ends_with("+gzip") || subtype.ends_with(".gzip") => Self::Gzip,
            _ if subtype.ends_with("+zstd") => Self::Zstd,
            _ => return None,
        })
    }

    /// Packing by one content coding (RFC 9110 §8.4.1), in lower case; `None` for a list of them.
    pub(crate) fn of_coding(coding: &str) -> Option<Self> {
        Some(match coding {
            "gzip" | "x-gzip" => Self::Gzip,
            "zstd" | "x-zstd" => Self::Zstd,
            "br" => Self::Brotli,
            "bzip2" | "x-bzip2" | "x-bzip" => Self::Bzip2,
            "xz" | "x-xz" => Self::Xz,
            "compress" | "x-compress" => Self::Compress,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_file_is_known_by_its_name_its_type_or_its_coding() {
        for (name, media, coding, packing) in [
            ("a-1.0.tar.gz", "application/gzip", "gzip", Packing::Gzip),
            ("a.TGZ", "application/x-gzip", "x-gzip", Packing::Gzip),
            ("plan.svgz", "application/vnd.oci.image.layer.v1.tar+gzip", "gzip", Packing::Gzip),
            ("a.tar.zst", "application/zstd", "zstd", Packing::Zstd),
            ("a.js.br", "application/x-brotli", "br", Packing::Brotli),
            ("a.tar.bz2", "application/x-bzip2", "x-bzip2", Packing::Bzip2),
            ("a.txz", "application/x-xz", "x-xz", Packing::Xz),
            ("a.tar.Z", "application/x-compress", "x-compress", Packing::Compress),
        ] {
            assert_eq!(Packing::of_name(name), Some(packing), "{name}");
            assert_eq!(Packing::of_media(media), Some(packing), "{media}");
            assert_eq!(Packing::of_coding(coding), Some(packing), "{coding}");
        }
        for plain in ["a.txt", "gz", "a.gz.txt", "a.", ""] {
            assert_eq!(Packing::of_name(plain), None, "{plain}");
        }
        assert_eq!(Packing::of_media("application/octet-stream"), None);
        assert_eq!(Packing::of_coding("gzip, gzip"), None);
    }
}
