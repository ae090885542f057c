// SPDX-License-Identifier: Apache-2.0
//
// Signing, endpoints, credentials, and the parsing of what a server sends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "drivers/object/store/credentials.h"
#include "drivers/object/store/encoding.h"
#include "drivers/object/store/s3_answer.h"
#include "drivers/object/store/s3_endpoint.h"
#include "drivers/object/store/s3_xml.h"
#include "drivers/object/store/sigv4.h"
#include "drivers/object/store/testing/http_server.h"
#include "drivers/object/store/testing/s3_fault.h"
#include "drivers/object/store/testing/scratch_dir.h"

namespace diskd::object {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// The examples of AWS, "Authenticating Requests: Using the Authorization Header".
constexpr char kEmptySha256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const absl::Time kExamplesTime =
    absl::FromCivil(absl::CivilSecond(2013, 5, 24), absl::UTCTimeZone());
const Credentials kExamplesKeys = {"AKIAIOSFODNN7EXAMPLE",
                                   "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};

std::string SignatureOf(RequestToSign request, Signer* signer, absl::Time time = kExamplesTime,
                        const Credentials& keys = kExamplesKeys) {
  request.headers.emplace_back("host", "examplebucket.s3.amazonaws.com");
  request.headers.emplace_back("x-amz-date", AmzDate(time));
  request.headers.emplace_back("x-amz-content-sha256", request.payload_sha256);
  return signer->Authorization(request, keys, time);
}

std::string SignatureOf(RequestToSign request) {
  Signer signer("us-east-1");
  return SignatureOf(std::move(request), &signer);
}

TEST(SigV4, PublishedExamples_GiveThePublishedSignatures) {
  EXPECT_THAT(SignatureOf({"GET", "/test.txt", "", {{"range", "bytes=0-9"}}, kEmptySha256}),
              EndsWith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
  EXPECT_THAT(SignatureOf({"PUT",
                           absl::StrCat("/", PercentEncode("test$file.text", true)),
                           "",
                           {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                            {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                           Sha256Hex({"Welcome to ", "Amazon S3."})}),
              EndsWith("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
  EXPECT_THAT(SignatureOf({"GET", "/", CanonicalQuery({{"lifecycle", ""}}), {}, kEmptySha256}),
              EndsWith("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
  EXPECT_THAT(
      SignatureOf(
          {"GET", "/", CanonicalQuery({{"prefix", "J"}, {"max-keys", "2"}}), {}, kEmptySha256}),
      EndsWith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST(SigV4, DayOrKeyThatChanges_ChangesTheSignature) {
  const RequestToSign request = {"GET", "/", "", {}, kEmptySha256};
  const absl::Time next_day = kExamplesTime + absl::Hours(24);
  const Credentials other = {kExamplesKeys.access_key, "another secret", ""};
  Signer signer("us-east-1");
  const std::string first = SignatureOf(request, &signer);
  // One of the two at a time.
  const std::pair<absl::Time, Credentials> steps[] = {
      {next_day, kExamplesKeys}, {next_day, other}, {kExamplesTime, other}};
  for (const auto& [day, keys] : steps) {
    Signer fresh("us-east-1");
    EXPECT_EQ(SignatureOf(request, &signer, day, keys), SignatureOf(request, &fresh, day, keys));
  }
  EXPECT_EQ(SignatureOf(request, &signer), first);
}

TEST(Encoding, EveryByte_SurvivesAndIsCanonical) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(PercentDecode(PercentEncode(all, false)), all);
  EXPECT_EQ(PercentEncode("a/b c~", true), "a/b%20c~");
  EXPECT_EQ(PercentEncode("a/b", false), "a%2Fb");
  EXPECT_EQ(PercentDecode("%4"), std::nullopt);
  EXPECT_EQ(PercentDecode("%zz"), std::nullopt);
  EXPECT_EQ(CanonicalQuery({{"b", "2"}, {"a", "x=y"}, {"a", "!"}}), "a=%21&a=x%3Dy&b=2");
}

TEST(S3Endpoint, Addressing_DecidesHostAndPath) {
  S3Options options;
  options.bucket = "my-bucket";
  options.region = "eu-central-1";
  EXPECT_EQ(ResolveEndpoint(options)->host, "my-bucket.s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(ResolveEndpoint(options)->base_path, "");
  EXPECT_TRUE(ResolveEndpoint(options)->tls);
  options.endpoint = "http://LocalHost:7480/";
  EXPECT_EQ(ResolveEndpoint(options)->host, "localhost:7480");
  EXPECT_EQ(ResolveEndpoint(options)->base_path, "/my-bucket");
  EXPECT_FALSE(ResolveEndpoint(options)->tls);
  options.endpoint = "https://[::1]:443";
  EXPECT_EQ(ResolveEndpoint(options)->host, "[::1]");
}

TEST(S3Endpoint, Nonsense_IsRefusedWithoutShowingIt) {
  const auto refused = [](auto change) {
    S3Options options;
    options.bucket = "bucket";
    options.endpoint = "http://host";
    change(options);
    const auto endpoint = ResolveEndpoint(options);
    EXPECT_THAT(std::string(endpoint.status().message()), Not(HasSubstr("pass")));
    return absl::IsInvalidArgument(endpoint.status());
  };
  for (const char* endpoint :
       {"host", "ftp://host", "http://", "http://user:pass@host", "http://host/path",
        "http://host?x", "http://host:0", "http://host:99999", "http://host:1x", "http://ho st",
        "http://[::1", "http://host\r\nx: y"}) {
    EXPECT_TRUE(refused([&](S3Options& options) { options.endpoint = endpoint; })) << endpoint;
  }
  EXPECT_TRUE(refused([](S3Options& options) { options.bucket = "a"; }));
  EXPECT_TRUE(refused([](S3Options& options) { options.bucket = "a/b"; }));
  EXPECT_TRUE(refused([](S3Options& options) { options.region = "a/b"; }));
  EXPECT_TRUE(refused([](S3Options& options) { options.prefix = "../x"; }));
  EXPECT_TRUE(refused([](S3Options& options) { options.prefix = "x/"; }));
  EXPECT_TRUE(refused([](S3Options& options) {
    options.bucket = "a.b.c";
    options.endpoint = "";
  }));
}

TEST(Credentials, File_ProfilesCommentsAndErrors) {
  const std::string text =
      "# comment\n[other]\naws_access_key_id=no\naws_secret_access_key=no\n"
      "[default]\n aws_access_key_id = AK \naws_secret_access_key=a/b+c==\n\n";
  const auto keys = ParseCredentials(text, "default", "f");
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->access_key, "AK");
  EXPECT_EQ(keys->secret_key, "a/b+c==");
  EXPECT_EQ(
      ParseCredentials("aws_access_key_id=A\naws_secret_access_key=S", "default", "f")->secret_key,
      "S");
  for (const char* bad : {"", "[default]\naws_access_key_id=AK", "aws_secret_access_key=hidden",
                          "aws_access_key_id=A\naws_secret_access_key=hid den"}) {
    const auto status = ParseCredentials(bad, "default", "the-file").status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("the-file"));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hid")));
  }
  EXPECT_FALSE(FileCredentials("/no/such/file")->Get().ok());
}

TEST(Credentials, FileThatIsGoneLater_LeavesTheKeysReadBefore) {
  const ScratchDir dir;
  const std::string path = dir.path() + "/keys";
  std::ofstream(path) << "aws_access_key_id=A\naws_secret_access_key=S\n";
  const auto keys = FileCredentials(path);
  ASSERT_TRUE(keys->Get().ok());
  for (const char* half : {"aws_access_key_id=B\n", ""}) {
    std::ofstream(path) << half;
    if (*half == '\0') unlink(path.c_str());
    keys->Refresh();
    const auto again = keys->Get();
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->access_key, "A");
  }
  std::ofstream(path) << "aws_access_key_id=B\naws_secret_access_key=S\n";
  keys->Refresh();
  EXPECT_EQ(keys->Get()->access_key, "B");
}

constexpr char kList[] =
    "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>"
    "<Contents><Key>a%2Fb%20c</Key><ETag>&quot;x&quot;</ETag><Size>7</Size><Owner><ID>o</ID>"
    "</Owner></Contents><Contents><Key>z</Key><Size>8</Size></Contents>"
    "<NextContinuationToken>to&amp;ken</NextContinuationToken></ListBucketResult>";

TEST(S3Xml, List_IsRead) {
  const auto page = ParseListPage(kList);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->objects, SizeIs(2));
  EXPECT_EQ(page->objects[0].key, "a/b c");
  EXPECT_EQ(page->objects[0].etag, "x");
  EXPECT_EQ(page->objects[0].bytes, 7);
  EXPECT_TRUE(page->truncated);
  EXPECT_EQ(page->next_token, "to&ken");
}

TEST(S3Xml, AnythingButAWholeList_IsDataLoss) {
  const std::string whole = kList;
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    EXPECT_TRUE(absl::IsDataLoss(ParseListPage(whole.substr(0, cut)).status())) << cut;
  }
  const auto lost = [](const std::string& xml) {
    return absl::IsDataLoss(ParseListPage(xml).status());
  };
  const std::string end = "<IsTruncated>false</IsTruncated></ListBucketResult>";
  EXPECT_FALSE(lost("<ListBucketResult>" + end));
  EXPECT_TRUE(lost("<ListBucketResult></ListBucketResult>"));
  EXPECT_TRUE(lost("<html><IsTruncated>false</IsTruncated></html>"));
  EXPECT_TRUE(lost("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"));
  EXPECT_TRUE(lost("<ListBucketResult><Contents><Key>a</Key></Contents>" + end));
  EXPECT_TRUE(lost("<ListBucketResult><Contents><Size>1</Size></Contents>" + end));
  EXPECT_TRUE(lost("<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents>" + end));
  EXPECT_TRUE(lost("<!DOCTYPE x [<!ENTITY e \"boom\">]><ListBucketResult>&e;" + end));
}

TEST(S3Xml, Limits_Hold) {
  std::string deep = "<ListBucketResult>";
  for (int i = 0; i < 100; ++i) deep += "<a>";
  EXPECT_TRUE(absl::IsDataLoss(ParseListPage(deep).status()));
  std::string many = "<ListBucketResult><IsTruncated>false</IsTruncated>";
  for (int i = 0; i <= kListKeysMax; ++i) many += "<Contents><Key>a</Key><Size>1</Size></Contents>";
  EXPECT_TRUE(absl::IsDataLoss(ParseListPage(many + "</ListBucketResult>").status()));
  EXPECT_TRUE(absl::IsDataLoss(
      ParseListPage("<ListBucketResult><Prefix>" + std::string(1 << 20, 'a')).status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseListPage(std::string(kXmlBytesMax + 1, ' ')).status()));
}

TEST(S3Xml, Error_IsReadAndHtmlIsNone) {
  EXPECT_EQ(ParseS3Error("<Error><Code>NoSuchKey</Code><Message>m</Message></Error>").code,
            "NoSuchKey");
  EXPECT_EQ(ParseS3Error("<html><Code>NoSuchKey</Code></html>").code, "");
  EXPECT_EQ(ParseS3Error("<Error><Code>NoSuchKey</Code>").code, "");
  EXPECT_EQ(ParseS3Error("").code, "");
}

TEST(S3Answer, ContentRange_ExactlyOneForm) {
  EXPECT_EQ(ParseContentRange("bytes 0-9/443")->total, 443);
  for (const char* bad :
       {"", "bytes */443", "bytes 9-0/443", "bytes 0-443/443", "0-9/443", "bytes 0-9/",
        "bytes -9/443", "bytes 0-9", "bytes 0-9/*", "bytes 0-99999999999999999999/443"}) {
    EXPECT_FALSE(ParseContentRange(bad).has_value()) << bad;
  }
}

absl::Status Answered(int status, const std::string& code,
                      std::map<std::string, std::string> headers = {}) {
  const std::string body =
      code.empty() ? "<html>sorry</html>" : absl::StrCat("<Error><Code>", code, "</Code></Error>");
  return StatusOfAnswer({status, std::move(headers), body}, "PUT a");
}

TEST(S3Answer, NoAnswerOfS3_IsUnavailableAndSaysWhatToCheck) {
  for (const int status : {204, 300, 301, 302, 303, 307, 308, 400, 404, 405, 413, 421, 451}) {
    const absl::Status answered = Answered(status, "");
    EXPECT_TRUE(absl::IsUnavailable(answered)) << answered;
    EXPECT_THAT(std::string(answered.message()), HasSubstr(absl::StrCat("HTTP ", status)));
    EXPECT_THAT(std::string(answered.message()), HasSubstr("the endpoint right"));
  }
  EXPECT_THAT(std::string(Answered(302, "", {{"location", "https://other/"}}).message()),
              HasSubstr("it sends us to https://other/"));
  EXPECT_THAT(std::string(Answered(429, "").message()), Not(HasSubstr("endpoint")));
}

TEST(S3Answer, Redirects_OnlyAPermanentOneIsADefect) {
  EXPECT_TRUE(absl::IsUnavailable(Answered(307, "TemporaryRedirect")));
  const absl::Status moved =
      Answered(301, "PermanentRedirect", {{"x-amz-bucket-region", "eu-west-1"}});
  EXPECT_TRUE(absl::IsInvalidArgument(moved)) << moved;
  EXPECT_THAT(std::string(moved.message()), HasSubstr("in region eu-west-1"));
}

TEST(S3Answer, WhatAnOperatorCanPutRight_IsNoDefectOfTheRequest) {
  for (const char* quota : {"XMinioAdminBucketQuotaExceeded", "EntityTooLarge", "QuotaExceeded"}) {
    EXPECT_TRUE(absl::IsResourceExhausted(Answered(400, quota))) << quota;
  }
  EXPECT_TRUE(absl::IsPermissionDenied(Answered(400, "KMS.DisabledException")));
  EXPECT_TRUE(absl::IsInvalidArgument(Answered(400, "InvalidRequest")));
}

TEST(S3Answer, StatusesThatNeedNoCode_KeepTheirMeaning) {
  EXPECT_TRUE(absl::IsPermissionDenied(Answered(401, "")));
  EXPECT_TRUE(absl::IsPermissionDenied(Answered(403, "")));
  EXPECT_TRUE(absl::IsAborted(Answered(409, "")));
  EXPECT_TRUE(absl::IsFailedPrecondition(Answered(412, "")));
  EXPECT_TRUE(absl::IsInvalidArgument(Answered(405, "MethodNotAllowed")));
}

TEST(S3Answer, AnotherRangeThanAskedFor_IsDataLoss) {
  const auto read = [](const std::string& content_range, const std::string& body) {
    HttpAnswer answer{206,
                      {{"etag", "\"e\""},
                       {"content-length", absl::StrCat(body.size())},
                       {"content-range", content_range}},
                      body};
    return ReadAnswer(answer, ByteRange{10, 5}, "GET a").status().code();
  };
  EXPECT_EQ(read("bytes 10-14/100", "12345"), absl::StatusCode::kOk);
  EXPECT_EQ(read("bytes 10-12/13", "123"), absl::StatusCode::kOk);
  EXPECT_EQ(read("bytes 10-12/100", "123"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(read("bytes 11-15/100", "12345"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(read("bytes 10-14/100", "1234"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(read("", "12345"), absl::StatusCode::kDataLoss);
}

TEST(S3Answer, RangeIgnoredByTheServer_IsCutOut) {
  const HttpAnswer answer{200, {{"etag", "e"}, {"content-length", "8"}}, "01234567"};
  const auto read = ReadAnswer(answer, ByteRange{6, 8}, "GET a");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->body, "67");
  EXPECT_EQ(read->object_bytes, 8);
}

TEST(S3Fault, Language_RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(ParseS3Fault("action=status status=500 key=x count=-1")->count, -1);
  EXPECT_FALSE(ParseS3Fault("").ok());
  EXPECT_FALSE(ParseS3Fault("action=explode").ok());
  EXPECT_FALSE(ParseS3Fault("action=status statos=500").ok());
}

// Random damage to valid input, and plain noise: no parser may crash, hang or overrun (the
// sanitizer builds see that), and none may take noise for a list.
TEST(Parsers, RandomInput_IsSurvived) {
  constexpr int kRounds = 20000;
  const std::string seeds[] = {
      kList, "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>",
      "PUT /bucket/key?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", "bytes 0-9/443",
      "[default]\naws_access_key_id=AK\naws_secret_access_key=s\n"};
  absl::BitGen random;
  for (int round = 0; round < kRounds; ++round) {
    std::string input = seeds[round % std::size(seeds)];
    const int changes = absl::Uniform<int>(random, 0, 8);
    for (int i = 0; i < changes && !input.empty(); ++i) {
      const size_t at = absl::Uniform<size_t>(random, 0, input.size());
      switch (absl::Uniform<int>(random, 0, 4)) {
        case 0:
          input[at] = static_cast<char>(absl::Uniform<int>(random, 0, 256));
          break;
        case 1:
          input.erase(at, absl::Uniform<size_t>(random, 1, 20));
          break;
        case 2:
          input.insert(at, input.substr(absl::Uniform<size_t>(random, 0, input.size()), 30));
          break;
        default:
          input.resize(at);
      }
    }
    const auto page = ParseListPage(input);
    if (page.ok()) {
      EXPECT_LE(page->objects.size(), kListKeysMax);
      EXPECT_THAT(input, HasSubstr("ListBucketResult"));
    }
    ParseS3Error(input);
    if (const auto range = ParseContentRange(input); range.has_value()) {
      EXPECT_LT(range->last, range->total);
    }
    ParseCredentials(input, "default", "noise").status().IgnoreError();
    PercentDecode(input);
    size_t body_bytes = 0;
    if (ParseRequestHead(input, &body_bytes).has_value()) {
      EXPECT_LE(body_bytes, kServerBodyBytesMax);
    }
  }
}

}  // namespace
}  // namespace diskd::object
