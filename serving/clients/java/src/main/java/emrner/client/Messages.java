package emrner.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.Int64Value;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.framework.DataType;
import org.tensorflow.framework.TensorProto;
import org.tensorflow.framework.TensorShapeProto;
import tensorflow.serving.Model.ModelSpec;
import tensorflow.serving.Predict.PredictRequest;
import tensorflow.serving.Predict.PredictResponse;

/** PredictionService's messages, built from texts and read into entities. */
final class Messages {
  private static final List<String> OUTPUTS = List.of("num_entities", "start", "end", "label", "score");

  private Messages() {}

  /**
   * The request for texts. It filters no outputs: TensorFlow Serving merges requests of the same outputs alone, and in
   * some versions none but those that ask for all of the signature's.
   *
   * @param version null is the server's newest
   */
  static PredictRequest request(List<String> texts, String model, Long version) {
    ModelSpec.Builder spec =
        ModelSpec.newBuilder().setName(model).setSignatureName("serving_default");
    if (version != null) {
      spec.setVersion(Int64Value.of(version));
    }
    TensorProto.Builder tensor =
        TensorProto.newBuilder()
            .setDtype(DataType.DT_STRING)
            .setTensorShape(
                TensorShapeProto.newBuilder().addDim(TensorShapeProto.Dim.newBuilder().setSize(texts.size())));
    for (String text : texts) {
      tensor.addStringVal(ByteString.copyFromUtf8(text));
    }
    return PredictRequest.newBuilder().setModelSpec(spec).putInputs("text", tensor.build()).build();
  }

  /**
   * The entities of each text of an answer.
   *
   * @throws IllegalStateException the answer is not of the contract
   */
  static List<List<Entity>> entities(List<String> texts, PredictResponse response) {
    for (String name : OUTPUTS) {
      TensorShapeProto shape = tensor(response, name).getTensorShape();
      // num_entities is [B], all others are [B, E].
      int dimensions = name.equals("num_entities") ? 1 : 2;
      if (shape.getDimCount() != dimensions || shape.getDim(0).getSize() != texts.size()) {
        throw new IllegalStateException("the answer's `" + name + "` is absent or not of the contract's shape");
      }
    }
    int width = (int) tensor(response, "start").getTensorShape().getDim(1).getSize();
    int size = texts.size() * width;
    List<Integer> counts = ints(tensor(response, "num_entities"), texts.size());
    List<Integer> starts = ints(tensor(response, "start"), size);
    List<Integer> ends = ints(tensor(response, "end"), size);
    List<ByteString> labels = repeated(tensor(response, "label").getStringValList(), size);
    List<Float> scores = floats(tensor(response, "score"), size);
    List<List<Entity>> found = new ArrayList<>(texts.size());
    for (int row = 0; row < texts.size(); row++) {
      int[] offsets = Offsets.utf16(texts.get(row));
      int count = counts.get(row);
      if (count < 0 || count > width) {
        throw new IllegalStateException("the answer holds no " + count + " entities a text");
      }
      List<Entity> entities = new ArrayList<>(count);
      for (int at = row * width; at < row * width + count; at++) {
        int start = starts.get(at);
        int end = ends.get(at);
        if (start < 0 || start >= end || end >= offsets.length) {
          throw new IllegalStateException(
              "the answer's offsets " + start + " and " + end + " are not in a text of " + (offsets.length - 1));
        }
        String label = labels.get(at).toStringUtf8();
        entities.add(new Entity(start, end, offsets[start], offsets[end], label, scores.get(at)));
      }
      found.add(entities);
    }
    return found;
  }

  private static TensorProto tensor(PredictResponse response, String name) {
    return response.getOutputsOrDefault(name, TensorProto.getDefaultInstance());
  }

  private static List<Integer> ints(TensorProto tensor, int size) {
    if (tensor.getTensorContent().isEmpty()) {
      return repeated(tensor.getIntValList(), size);
    }
    ByteBuffer content = content(tensor, size);
    List<Integer> values = new ArrayList<>(size);
    while (content.hasRemaining()) {
      values.add(content.getInt());
    }
    return values;
  }

  private static List<Float> floats(TensorProto tensor, int size) {
    if (tensor.getTensorContent().isEmpty()) {
      return repeated(tensor.getFloatValList(), size);
    }
    ByteBuffer content = content(tensor, size);
    List<Float> values = new ArrayList<>(size);
    while (content.hasRemaining()) {
      values.add(content.getFloat());
    }
    return values;
  }

  private static ByteBuffer content(TensorProto tensor, int size) {
    ByteString content = tensor.getTensorContent();
    if (content.size() != 4L * size) {
      throw new IllegalStateException(
          "the answer holds a tensor of " + content.size() + " bytes in place of " + 4L * size);
    }
    return content.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Fills up with the last value, as TensorProto has it. */
  private static <T> List<T> repeated(List<T> values, int size) {
    if (values.size() > size || (values.isEmpty() && size > 0)) {
      throw new IllegalStateException(
          "the answer holds a tensor of " + values.size() + " values in place of " + size);
    }
    List<T> filled = new ArrayList<>(values);
    while (filled.size() < size) {
      filled.add(values.get(values.size() - 1));
    }
    return filled;
  }
}
